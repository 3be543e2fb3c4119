"""What the jobs of one stage measured class by class and of their confidence, over its finished seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from kd.report.report_stages import CalibrationMeans, ClassMeans
from kd.rundir.class_scores import ClassScores
from kd.rundir.result_sections import Calibration
from kd.rundir.stage_result import StageResult


def class_means(results: Sequence[StageResult]) -> dict[str, ClassMeans]:
    """Return mean precision, recall and F1 score of each class on the test images; empty for older results."""
    measured = [result.detail.classes for result in results if result.detail]
    names = measured[0] if measured else {}
    return {name: _of_class([each[name] for each in measured if name in each]) for name in names}


def _of_class(scores: Sequence[ClassScores]) -> ClassMeans:
    return ClassMeans(
        precision=fmean(each.precision for each in scores),
        recall=fmean(each.recall for each in scores),
        f1_score=fmean(each.f1_score for each in scores),
        images=scores[0].images,
    )


def calibration_means(results: Sequence[StageResult]) -> CalibrationMeans | None:
    """Return the mean calibration error and likelihood, and the bins of all seeds together."""
    measured = [result.calibration for result in results if result.calibration]
    if not measured or len({(each.part, len(each.counts)) for each in measured}) > 1:
        return None
    counts = [sum(each.counts[bin] for each in measured) for bin in range(len(measured[0].counts))]
    return CalibrationMeans(
        part=measured[0].part,
        expected_error=fmean(each.expected_error for each in measured),
        negative_log_likelihood=fmean(each.negative_log_likelihood for each in measured),
        counts=counts,
        confidence=_pooled(measured, counts, [each.confidence for each in measured]),
        accuracy=_pooled(measured, counts, [each.accuracy for each in measured]),
    )


def _pooled(measured: Sequence[Calibration], counts: Sequence[int], means: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of each bin over the predictions of all seeds, 0 where it is empty."""
    sums = [
        sum(each.counts[bin] * of_seed[bin] for each, of_seed in zip(measured, means, strict=True))
        for bin in range(len(counts))
    ]
    return [total / count if count else 0.0 for total, count in zip(sums, counts, strict=True)]


def summed_confusion(results: Sequence[StageResult]) -> list[list[int]] | None:
    """Return the confusion matrix of all seeds together; None where it was not recorded, or there is one per label."""
    matrices = [result.detail.confusion for result in results if result.detail and result.detail.confusion]
    if not matrices or any(len(row) != len(matrix) for matrix in matrices for row in matrix):
        return None
    return [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]
