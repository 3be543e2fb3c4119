"""What images with several labels have besides one number: means over the finished seeds, whole and of each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from kd.report.statistics import finite

OF_ALL = ("accuracy", "hamming_loss", "subset_accuracy", "average_precision")
OF_EACH = ("precision", "recall", "f1_score", "average_precision")


def label_means(results: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the means of the finished jobs' test metrics (best weights), those of each label under ``labels``.

    ``results`` are the contents of result.json; None where there are none of several labels.
    """
    measured = [best for result in results if (best := _best(result)).get("labels")]
    if not measured:
        return None
    names = measured[0]["labels"]
    return {
        **{metric: _mean(best.get(metric) for best in measured) for metric in OF_ALL},
        "labels": {
            name: {metric: _mean(best["labels"].get(name, {}).get(metric) for best in measured) for metric in OF_EACH}
            for name in names
        },
    }


def _best(result: Mapping[str, Any]) -> Mapping[str, Any]:
    test = result.get("test")
    best = test.get("best") if isinstance(test, dict) else None
    return best if isinstance(best, dict) else {}


def _mean(values: Iterable[object]) -> float | None:
    known = [number for value in values if (number := finite(value)) is not None]
    return fmean(known) if known else None
