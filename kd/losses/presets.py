"""The papers' settings of each loss, as the ``loss:`` of a job file, with where they come from.

Networks are named as in the catalogue of models; pairs with networks that are not in it are left out.

Weights and temperatures were found on one benchmark, often on one pair of networks. They are a start, not a promise,
for other data. Where a source writes a formula in another scale, the weight here is for the formula in this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Terms = Mapping[str, Any]  # as in a job file: name -> weight, or {weight, arguments}


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Terms to copy into a job file. ``setting`` is the data and the networks they were used for."""

    loss: str
    setting: str
    terms: Terms
    source: str


def _ce_and(loss: str, weight: float, **arguments: Any) -> Terms:
    return {"ce": 1, loss: {"weight": weight, **arguments} if arguments else weight}


CRD_BENCHMARK = "HobbitLong/RepDistiller, README and train_student.py"
MDISTILLER = "megvii-research/mdistiller, configs"
REVIEW = "dvlab-research/ReviewKD, README"

PRESETS: tuple[Preset, ...] = (
    Preset(
        loss="kd",
        setting="CIFAR-100",
        terms={"ce": 0.1, "kd": {"weight": 0.9, "temperature": 4}},
        source=CRD_BENCHMARK,
    ),
    Preset(
        loss="kd",
        setting="ImageNet, resnet34 to resnet18",
        terms={"ce": 0.5, "kd": {"weight": 0.5, "temperature": 1}},
        source=MDISTILLER,
    ),
    Preset(
        loss="binary_kd",
        setting="several labels: an RGB student of RGB and infrared teachers",
        terms={"bce": 0.5, "binary_kd": {"weight": 0.5, "temperature": 4}},
        source="the temperature of the pipeline's requirements; equal weights by choice",
    ),
    Preset(
        loss="dkd",
        setting="CIFAR-100, resnet56 to resnet20, resnet110 to resnet32",
        terms=_ce_and("dkd", 1, temperature=4, alpha=1, beta=2, warmup=20),
        source=MDISTILLER,
    ),
    Preset(
        loss="dkd",
        setting="CIFAR-100, wrn40_2 to wrn16_2 or wrn40_1, vgg13 to vgg8",
        terms=_ce_and("dkd", 1, temperature=4, alpha=1, beta=6, warmup=20),
        source=MDISTILLER,
    ),
    Preset(
        loss="dkd",
        setting="CIFAR-100, resnet32x4 to resnet8x4",
        terms=_ce_and("dkd", 1, temperature=4, alpha=1, beta=8, warmup=20),
        source=MDISTILLER,
    ),
    Preset(
        loss="dkd",
        setting="ImageNet, resnet34 to resnet18",
        terms=_ce_and("dkd", 1, temperature=1, alpha=1, beta=0.5, warmup=1),
        source=MDISTILLER,
    ),
    Preset(
        loss="dist",
        setting="CIFAR-100",
        terms=_ce_and("dist", 2, temperature=4, beta=1, gamma=1),
        source="hunto/DIST_KD, dist_cifar.yaml",
    ),
    Preset(
        loss="dist",
        setting="ImageNet",
        terms=_ce_and("dist", 2, temperature=1, beta=1, gamma=1),
        source="hunto/DIST_KD, README",
    ),
    Preset(
        loss="kd_standardised",
        setting="CIFAR-100",
        terms={"ce": 0.1, "kd_standardised": {"weight": 9, "temperature": 2}},
        source="sunshangquan/logit-standardization-KD, README",
    ),
    Preset(
        loss="nkd",
        setting="ImageNet, resnet34 to resnet18",
        terms=_ce_and("nkd", 1, temperature=1, gamma=1.5),
        source="yzd-v/cls_KD, nkd.py",
    ),
    Preset(
        loss="fitnet",
        setting="CIFAR-100",
        terms=_ce_and("fitnet", 100, stages=[2]),
        source=CRD_BENCHMARK,
    ),
    Preset(loss="at", setting="CIFAR-100", terms=_ce_and("at", 1000), source=CRD_BENCHMARK),
    Preset(loss="sp", setting="CIFAR-100", terms=_ce_and("sp", 3000), source=CRD_BENCHMARK),
    Preset(
        loss="rkd",
        setting="CIFAR-100",
        terms=_ce_and("rkd", 25, distance=1, angle=2),
        source=f"{CRD_BENCHMARK} (distance 25, angle 50)",
    ),
    Preset(
        loss="pkt",
        setting="CIFAR-100, batches of 64",
        terms=_ce_and("pkt", 468.75),
        source=f"{CRD_BENCHMARK} (30000 over B^2; here over B)",
    ),
    Preset(loss="vid", setting="CIFAR-100", terms=_ce_and("vid", 1), source=CRD_BENCHMARK),
    Preset(
        loss="crd",
        setting="CIFAR-100",
        terms=_ce_and("crd", 0.8, negatives=16384, temperature=0.07, momentum=0.5),
        source=CRD_BENCHMARK,
    ),
    Preset(
        loss="review",
        setting="CIFAR-100, resnet56 to resnet20",
        terms=_ce_and("review", 0.6, warmup=20),
        source=REVIEW,
    ),
    Preset(
        loss="review",
        setting="CIFAR-100, resnet110 to resnet32",
        terms=_ce_and("review", 1, warmup=20),
        source=REVIEW,
    ),
    Preset(
        loss="review",
        setting="CIFAR-100, wrn40_2 to wrn16_2 or wrn40_1, resnet32x4 to resnet8x4",
        terms=_ce_and("review", 5, warmup=20),
        source=REVIEW,
    ),
)
