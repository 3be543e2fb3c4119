"""What a report says unasked, because a reader would be misled without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import sqrt

from kd.report.job_record import ACCURACY
from kd.report.report_stages import StageSummary

FAR = 3.0  # standard errors of the test set above chance: below that a model has learnt nothing that shows


def remarks(stages: Mapping[str, StageSummary]) -> list[str]:
    """Return the remarks on the stages of a family; mostly none."""
    return list(_all_at_chance(stages))


def _all_at_chance(stages: Mapping[str, StageSummary]) -> Iterator[str]:
    """Yield a remark when every student is no better than guessing: comparisons of such students mean nothing."""
    students = [stage for stage in stages.values() if stage.n and stage.role != "teacher" and stage.metric == ACCURACY]
    guessed = [(stage, chance) for stage in students if (chance := _chance(stage))]
    if guessed and len(guessed) == len(students) and all(_at_chance(stage, chance) for stage, chance in guessed):
        chance = 100 * guessed[0][1]
        yield (
            f"every student is at chance ({chance:.3g} %): none has learnt anything that shows, and their differences "
            "mean nothing; train longer, or look at learning rate, loss and data"
        )


def _chance(stage: StageSummary) -> float | None:
    """Return the accuracy of guessing one of the classes."""
    classes = {job.data.classes for job in stage.jobs.values()}
    return 1 / number if len(classes) == 1 and (number := classes.pop()) else None


def _at_chance(stage: StageSummary, chance: float) -> bool:
    images = stage.test_images if isinstance(stage.test_images, int) else None
    if stage.mean is None or not images:
        return False
    return stage.mean <= chance + FAR * sqrt(chance * (1 - chance) / images)
