"""What images with several labels have besides one number: means over the finished seeds, whole and of each label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from kd.report.report_stages import LabelMeans, SeveralLabels
from kd.report.statistics import finite
from kd.rundir.result_sections import LabelScores
from kd.rundir.stage_result import StageResult


def label_means(results: Sequence[StageResult]) -> SeveralLabels | None:
    """Return means of the finished jobs' test metrics (best weights); None where images have one label each."""
    measured = [result.test.best for result in results if result.test and result.test.best.labels]
    if not measured:
        return None
    names = measured[0].labels or {}
    return SeveralLabels(
        accuracy=_mean(best.accuracy for best in measured),
        hamming_loss=_mean(best.hamming_loss for best in measured),
        subset_accuracy=_mean(best.subset_accuracy for best in measured),
        average_precision=_mean(best.average_precision for best in measured),
        labels={
            name: _of_label([best.labels[name] for best in measured if best.labels and name in best.labels])
            for name in names
        },
    )


def _of_label(scores: Sequence[LabelScores]) -> LabelMeans:
    return LabelMeans(
        precision=_mean(each.precision for each in scores),
        recall=_mean(each.recall for each in scores),
        f1_score=_mean(each.f1_score for each in scores),
        average_precision=_mean(each.average_precision for each in scores),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [number for value in values if (number := finite(value)) is not None]
    return fmean(known) if known else None
