"""Stage kind "search": settings of another stage, chosen by short trainings on the validation images.

The adaptive configuration manager of HPM-KD (arXiv:2512.09886) in a form that can be checked: it learns how well a
configuration does on a task. Which trials are done is a function of the spec, the seed and the parents' results.
Finished trials are kept in a file, so that an interrupted search repeats none and chooses the same.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from kd.evaluate.metrics import selecting_metric
from kd.files import write_json
from kd.rundir.folders import read_object
from kd.search.halving import DEFAULT, Trial, best, cost, promoted, rungs
from kd.search.proposals import LEAST_REMEMBERED, filling, promising
from kd.search.space import Configuration, keys_of, read_space, setting
from kd.stages.context import StageContext
from kd.stages.data import Data
from kd.stages.envelope import result_of
from kd.stages.experience import experience, remembered, task_features
from kd.stages.fit import load_stage_data
from kd.stages.keeper import beat
from kd.stages.teachers import Teachers, find_teachers
from kd.stages.trial import forget_trial, run_trial
from kd.train.device import prepare_runtime
from kd.train.journal import Heartbeat
from kd.train.meter import TrainingDiverged
from kd.train.state import Stopwatch

TRIALS = "checkpoint/trials.json"


def run(context: StageContext, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Search, and return the contents of result.json.

    Raises Interrupted when asked to stop, TrainingDiverged when no configuration can be trained, and UserError when
    the data or a teacher cannot be used.
    """
    watch = Stopwatch()
    training = spec["settings"]["training"]
    runtime = prepare_runtime(precision=training["precision"], deterministic=training["deterministic"])
    searched = {**spec, "settings": training}
    teachers = find_teachers(context, searched) if spec["settings"]["kind"] == "distill" else None
    data = load_stage_data(context, searched, teachers, runtime.device)
    findings = _Search(context, spec, data, teachers, watch).run()
    return result_of(context, spec, findings, runtime=runtime, data=data, files=context.publish([TRIALS]))


class _Search:
    """The trials of one search, in their order."""

    def __init__(
        self,
        context: StageContext,
        spec: Mapping[str, Any],
        data: Data,
        teachers: Teachers | None,
        watch: Stopwatch,
    ) -> None:
        self._spec, self._data, self._teachers, self._watch = spec, data, teachers, watch
        self._metric = selecting_metric(multi_label=data.arrays.multi_label)
        self._settings: Mapping[str, Any] = spec["settings"]
        self._space = read_space(self._settings["space"])
        self._ladder = rungs(self._settings["trials"], self._settings["epochs"])
        self._features = task_features(context, spec, data, teachers)
        self._remembered = remembered(context, spec)
        self._heartbeat = Heartbeat(context.folder.progress)
        self._attempt = 1 + int((read_object(context.folder.progress) or {}).get("attempt", 0))
        self._stop_requested = context.stop_requested
        self._context = replace(context, stop_requested=self._beat_and_ask)
        self._trials = self._finished_before()

    def run(self) -> dict[str, Any]:
        """Do all trials and return what they come to."""
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
        return self._outcome(winner, default=trials[0])

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
        training, seed = self._settings["training"], self._spec["seed"]
        if not trials:
            return {key: setting(training, key) for key in keys_of(self._space)}
        tried = [trial.configuration for trial in trials]
        if len(self._remembered) < LEAST_REMEMBERED:
            return filling(self._space, tried, seed)
        own = [experience(self._features, training, asdict(trial)) for trial in trials]
        longest = self._ladder[-1].epochs
        return promising(
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
        trials = [asdict(trial) for trial in self._trials.values()]
        state = {"fingerprint": self._spec["fingerprint"], "seconds": self._watch.seconds, "trials": trials}
        write_json(self._context.work / TRIALS, state)
        self._context.publish([TRIALS])

    def _finished_before(self) -> dict[tuple[int, int], Trial]:
        """Return the trials that earlier attempts at this very search finished, by number and epochs."""
        saved = read_object(self._context.work / TRIALS) or {}
        if saved.get("fingerprint") != self._spec["fingerprint"]:
            return {}
        self._watch.restart(saved["seconds"] + self._watch.seconds)
        return {(trial["number"], trial["epochs"]): Trial(**trial) for trial in saved["trials"]}

    def _outcome(self, winner: Trial, default: Trial) -> dict[str, Any]:
        trials = list(self._trials.values())
        return {
            "for": self._settings["for"],
            "best": asdict(winner),
            "default": asdict(default),
            "trials": [asdict(trial) for trial in trials],
            "remembered": len(self._remembered),
            "features": self._features,
            "training": self._settings["training"],
            "metric": self._metric,
            "validation": {"best": {self._metric: winner.score, "loss": winner.loss}},
            "epochs": sum(trial.epochs for trial in trials),
            "seconds": {"total": self._watch.seconds},
            "attempts": self._attempt,
        }

    def _beat_and_ask(self) -> bool:
        """Show that the search is alive; asked at every step of a trial."""
        if self._heartbeat.due():
            self._beat()
        return self._stop_requested()

    def _beat(self) -> None:
        trials = list(self._trials.values())
        done, epochs = sum(trial.epochs for trial in trials), cost(self._ladder)
        leader = best(trials)
        values = {
            "epoch": min(done + 1, epochs),
            "epochs": epochs,
            "metric": {"name": f"val_{self._metric}", "value": leader.score} if leader else None,
            "seconds_per_epoch": sum(trial.seconds for trial in trials) / done if done else None,
            "attempt": self._attempt,
            "host": socket.gethostname(),
            "job_id": self._context.facts.get("job_id"),
        }
        beat(self._heartbeat, values)
