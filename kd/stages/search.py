"""Stage kind "search": choose settings of another stage by short trainings, judged on the validation images.

The adaptive configuration manager of HPM-KD (arXiv:2512.09886) in a form that can be checked: it learns how well a
configuration does on a task. Which trials are done is a function of the spec, the seed and the parents' results.
Finished trials are kept in a file, so that an interrupted search repeats none and chooses the same.
"""

from __future__ import annotations

import socket
from dataclasses import replace

import msgspec

from kd.evaluate.metrics import selecting_metric
from kd.rundir.folders import TRIALS
from kd.rundir.progress import Heartbeat, Progress, ProgressMetric, read_progress
from kd.rundir.result_sections import BestAndLast, Metrics, Seconds, Trial
from kd.rundir.stage_result import StageResult
from kd.rundir.stage_spec import SearchSettings, StageSpec, TrainSettings
from kd.rundir.trials_file import TrialsFile, read_trials, write_trials
from kd.search.halving import DEFAULT, best, promoted, rungs, total_epochs
from kd.search.proposals import LEAST_REMEMBERED, most_promising, next_sobol_point
from kd.search.space import Configuration, keys_of, read_space, setting
from kd.stages.context import StageContext
from kd.stages.result_file import circumstances, identity
from kd.stages.searching.remembered_trials import experience, remembered_trials, task_features
from kd.stages.searching.short_training import forget_trial, run_trial
from kd.stages.stage_data import StageData
from kd.stages.training.checkpoint_keeper import beat
from kd.stages.training.fit_stage import load_stage_data
from kd.stages.training.seeds import seed_of
from kd.stages.training.stage_teachers import StageTeachers, find_teachers
from kd.train.device import Runtime, prepare_runtime
from kd.train.meter import TrainingDiverged
from kd.train.state import Stopwatch


def run(context: StageContext, spec: StageSpec[SearchSettings]) -> StageResult:
    """Search, and return the result.

    Raises Interrupted when asked to stop, TrainingDiverged when no configuration can be trained, and UserError when
    the data or a teacher cannot be used.
    """
    watch = Stopwatch()
    training = spec.settings.training
    runtime = prepare_runtime(precision=training.precision, deterministic=training.deterministic)
    searched: StageSpec[TrainSettings] = msgspec.structs.replace(spec, settings=training)  # type: ignore[arg-type]
    teachers = find_teachers(context, searched) if spec.settings.kind == "distill" else None
    data = load_stage_data(context, searched, teachers, runtime.device)
    return _Search(context, spec, data, teachers, watch, runtime).run()


class _Search:
    """The trials of one search, in their order."""

    def __init__(
        self,
        context: StageContext,
        spec: StageSpec[SearchSettings],
        data: StageData,
        teachers: StageTeachers | None,
        watch: Stopwatch,
        runtime: Runtime,
    ) -> None:
        self._spec, self._data, self._teachers, self._watch = spec, data, teachers, watch
        self._metric = selecting_metric(multi_label=data.arrays.multi_label)
        self._settings, self._runtime = spec.settings, runtime
        self._space = read_space(self._settings.space)
        self._ladder = rungs(self._settings.trials, self._settings.epochs)
        self._features = task_features(context, spec, data, teachers)
        self._remembered = remembered_trials(context, spec)
        self._heartbeat = Heartbeat(context.folder.progress)
        earlier = read_progress(context.folder)
        self._attempt = 1 + (earlier.attempt if earlier else 0)
        self._stop_requested = context.stop_requested
        self._context = replace(context, stop_requested=self._beat_and_ask)
        self._trials = self._finished_before()

    def run(self) -> StageResult:
        """Do all trials and return the result."""
        self._beat()
        trials = self._first_trials()
        for rung in self._ladder[1:]:
            configurations = {trial.number: trial.configuration for trial in trials}
            numbers = promoted(trials, rung.configurations)
            trials = [self._trial(number, configurations[number], rung.epochs) for number in numbers]
        winner = best(trials)
        if winner is None:
            raise TrainingDiverged("every trial diverged; search lower learning rates, or add a warm-up to the stage")
        self._beat()
        return self._result(winner, default=trials[0])

    def _first_trials(self) -> list[Trial]:
        """Try as many configurations as the first rung has, the default first, or as many as there are."""
        trials: list[Trial] = []
        rung = self._ladder[0]
        while len(trials) < rung.configurations:
            configuration = self._propose(trials)
            if configuration is None:
                break
            trials.append(self._trial(len(trials) + DEFAULT, configuration, rung.epochs))
        return trials

    def _propose(self, trials: list[Trial]) -> Configuration | None:
        """Return what to try after these trials, whatever a killed attempt tried after them; None: all was tried."""
        training, seed = self._settings.training, seed_of(self._spec)
        if not trials:
            return {key: setting(training, key) for key in keys_of(self._space)}
        tried = [trial.configuration for trial in trials]
        if len(self._remembered) < LEAST_REMEMBERED:
            return next_sobol_point(self._space, tried, seed)
        own = [experience(self._features, training, trial) for trial in trials]
        longest = self._ladder[-1].epochs
        return most_promising(
            self._space, tried, [*self._remembered, *own], features=self._features, epochs=longest, seed=seed
        )

    def _trial(self, number: int, configuration: Configuration, epochs: int) -> Trial:
        """Return a finished trial, from the file or from a training."""
        if (number, epochs) not in self._trials:
            before = self._watch.seconds
            trial = run_trial(
                self._context,
                self._spec,
                self._data,
                self._teachers,
                number=number,
                configuration=configuration,
                epochs=epochs,
            )
            self._watch.restart(before + trial.seconds)  # of an interrupted trial, what earlier attempts spent counts
            self._trials[number, epochs] = trial
            self._save()
            forget_trial(self._context)
            print(f"kd: trial {number}, {epochs} epochs: validation {self._metric} {trial.score}", flush=True)
        return self._trials[number, epochs]

    def _save(self) -> None:
        trials = list(self._trials.values())
        finished = TrialsFile(fingerprint=self._spec.fingerprint, seconds=self._watch.seconds, trials=trials)
        write_trials(self._context.work / TRIALS, finished)
        self._context.publish([TRIALS])

    def _finished_before(self) -> dict[tuple[int, int], Trial]:
        """Return the trials that earlier attempts at this very search finished, by number and epochs."""
        saved = read_trials(self._context.work / TRIALS)
        if saved is None or saved.fingerprint != self._spec.fingerprint:
            return {}
        self._watch.restart(saved.seconds + self._watch.seconds)
        return {(trial.number, trial.epochs): trial for trial in saved.trials}

    def _result(self, winner: Trial, default: Trial) -> StageResult:
        trials = list(self._trials.values())
        score = msgspec.convert({self._metric: winner.score, "loss": winner.loss}, Metrics)
        return StageResult(
            **identity(self._context, self._spec, self._context.publish([TRIALS])),
            **circumstances(self._runtime, self._data),
            searched=self._settings.searched,
            best=winner,
            default=default,
            trials=trials,
            remembered=len(self._remembered),
            features=self._features,
            training=self._settings.training,
            metric=self._metric,
            validation=BestAndLast(best=score),
            epochs=sum(trial.epochs for trial in trials),
            seconds=Seconds(total=self._watch.seconds),
            attempts=self._attempt,
        )

    def _beat_and_ask(self) -> bool:
        """Show that the search is alive; asked at every step of a trial."""
        if self._heartbeat.due():
            self._beat()
        return self._stop_requested()

    def _beat(self) -> None:
        trials = list(self._trials.values())
        done, epochs = sum(trial.epochs for trial in trials), total_epochs(self._ladder)
        leader = best(trials)
        score = leader.score if leader else None
        progress = Progress(
            epoch=min(done + 1, epochs),
            epochs=epochs,
            metric=None if score is None else ProgressMetric(name=f"val_{self._metric}", value=score),
            seconds_per_epoch=sum(trial.seconds for trial in trials) / done if done else None,
            attempt=self._attempt,
            host=socket.gethostname(),
            job_id=self._context.job_id,
        )
        beat(self._heartbeat, progress)
