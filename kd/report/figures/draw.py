"""All figures of one pipeline, as SVG and PNG, with what stands under each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from kd.report.figures.confusion import confusion
from kd.report.figures.dots import differences, measured
from kd.report.figures.embeddings import embeddings
from kd.report.figures.feature_maps import attention, feature_maps
from kd.report.figures.learning_curves import losses, metrics
from kd.report.figures.reliability import reliability
from kd.report.figures.style import save
from kd.report.figures.timeline import timeline
from kd.report.figures.trade_off import trade_off
from kd.report.formatting import METRICS
from kd.report.report_value import Family

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw: TypeAlias = Callable[[Family, Path], "Figure | None"]

DOTS = "A dot is a seed, the tick their mean, the bar its 95 % interval."
BANDS = "Mean, and band from the lowest to the highest seed; dashed: training, solid: validation."
# name of the file after the pipeline's -> what stands under the figure, and the function that draws it
FIGURES: Mapping[str, tuple[str, Draw]] = {
    "{metric}": (f"Test {{words}}. {DOTS}", measured),
    "differences": (f"Paired differences. {DOTS}", differences),
    "trade_off": ("Test {words} against size, operations and latency of one image in PyTorch on the CPU.", trade_off),
    "curves": (f"Training and validation {{words}} of the finished jobs. {BANDS}", metrics),
    "loss": (f"Training and validation loss of the finished jobs. {BANDS}", losses),
    "confusion": ("Share of the test images of each true class by predicted class, in percent, all seeds.", confusion),
    "reliability": (
        "Accuracy by confidence of all seeds' predictions; on the diagonal, confidence is right.",
        reliability,
    ),
    "embeddings": (
        "What each network takes for alike: its features of the same validation images in a plane. "
        "Only neighbourhoods mean something.",
        embeddings,
    ),
    "attention": ("Validation images, and where each network looks in them.", attention),
    "feature_maps": ("A validation image, and the first maps of it in each network.", feature_maps),
    "timeline": (
        "When each job waited, copied its files and ran (its last attempt, of finished jobs; the time before it holds "
        "earlier attempts too).",
        timeline,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A figure that lies in ``<name>.svg`` and ``<name>.png`` of the figures folder."""

    name: str
    caption: str
    svg: Path


def draw_figures(pipeline: str, family: Family, base: Path, folder: Path) -> list[Drawing]:
    """Draw what there is to draw of one pipeline into ``folder``; ``base`` is where report.json lies."""
    drawings = []
    for suffix, (caption, draw) in FIGURES.items():
        figure = draw(family, base)
        if figure is not None:
            name = f"{pipeline}_{suffix.format(metric=family.metric)}"
            words = caption.format(words=METRICS[family.metric])
            drawings.append(Drawing(name=name, caption=words, svg=save(figure, folder, name)))
    return drawings
