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
STANDARDISED = "sunshangquan/logit-standardization-KD"
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
        setting="CIFAR-100, vgg13 to mobilenet_v2_half (learning rate 0.01)",
        terms=_ce_and("dkd", 1, temperature=4, alpha=1, beta=6, warmup=20),
        source=MDISTILLER,
    ),
    Preset(
        loss="dkd",
        setting="CIFAR-100, resnet32x4 to shufflenet_v1 or shufflenet_v2, resnet50 to mobilenet_v2_half",
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
        loss="dkd",
        setting="with standardised logits: CIFAR-100, resnet32x4 to resnet8x4",
        terms=_ce_and("dkd", 9, temperature=2, alpha=1, beta=8, warmup=20, standardise=True),
        source=f"{STANDARDISED} (alpha and beta times 9)",
    ),
    Preset(
        loss="ctkd",
        setting="CIFAR-100",
        terms={"ce": 0.1, "ctkd": {"weight": 0.9, "least": 1, "span": 20, "loops": 10}},
        source="zhengli97/CTKD, scripts (global temperature)",
    ),
    Preset(
        loss="normkd",
        setting="CIFAR-100",
        terms={"ce": 0.1, "normkd": {"weight": 0.9, "temperature": 2}},
        source="gizi1/NormKD, cfg.py",
    ),
    Preset(
        loss="wttm",
        setting="CIFAR-100",
        terms=_ce_and("wttm", 1, temperature=4),
        source="weight and temperature by choice; the paper searches both for each pair",
    ),
    Preset(
        loss="wsld",
        setting="ImageNet, resnet34 to resnet18",
        terms=_ce_and("wsld", 2.5, temperature=2),
        source="bellymonster/Weighted-Soft-Label-Distillation, knowledge_distiller.py",
    ),
    Preset(
        loss="mlkd",
        setting="CIFAR-100",
        terms={"ce": 0.1, "mlkd": 9},
        source=f"{STANDARDISED}, MLKD (there of two views, 480 epochs)",
    ),
    Preset(
        loss="ofa",
        setting="CIFAR-100, students and teachers of different kinds",
        terms=_ce_and("ofa", 1, temperature=1, epsilon=1),
        source="Hao840/OFAKD, train.py",
    ),
    Preset(
        loss="tfkd",
        setting="CIFAR-100, resnet18 without a teacher",
        terms={"ce": 0.9, "tfkd": {"weight": 0.1, "temperature": 20, "correct": 0.99}},
        source="yuanli2333/Teacher-free-Knowledge-Distillation, base_resnet18 (multiplier 100 over 100 classes)",
    ),
    Preset(
        loss="hard_kd",
        setting="ImageNet, a transformer of a convolutional teacher",
        terms={"ce": 0.5, "hard_kd": 0.5},
        source="arXiv:2012.12877, equation 3",
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
        loss="ofd",
        setting="CIFAR-100",
        terms=_ce_and("ofd", 1e-3),
        source="clovaai/overhaul-distillation, CIFAR-100",
    ),
    Preset(
        loss="ofd",
        setting="ImageNet",
        terms=_ce_and("ofd", 1e-4),
        source="clovaai/overhaul-distillation, ImageNet",
    ),
    Preset(
        loss="ab",
        setting="CIFAR-100, in a stage of its own from which the student then starts",
        terms={"ab": 3e-3},
        source=f"{CRD_BENCHMARK} (margin 1; 3/1000 is in its loss)",
    ),
    Preset(loss="ickd", setting="CIFAR-100", terms=_ce_and("ickd", 2.5), source="ADLab-AutoDrive/ICKD, README"),
    Preset(
        loss="mgd",
        setting="ImageNet, resnet34 to resnet18",
        terms=_ce_and("mgd", 7e-5, blanked=0.15),
        source="yzd-v/MGD, res34_distill_res18_img.py",
    ),
    Preset(
        loss="srd",
        setting="ImageNet, resnet34 to resnet18",
        terms={"ce": 1, "kd": {"weight": 1, "temperature": 1}, "srd": 2},
        source="roymiles/Simple-Recipe-Distillation, single.py",
    ),
    Preset(
        loss="ft",
        setting="CIFAR-100",
        terms=_ce_and("ft", 200, reconstruction=0.005),
        source=f"{CRD_BENCHMARK} (the paraphraser there beforehand, for 30 epochs)",
    ),
    Preset(
        loss="semckd",
        setting="CIFAR-100",
        terms={"ce": 1, "kd": {"weight": 1, "temperature": 4}, "semckd": 400},
        source="DefangChen/SemCKD, README",
    ),
    Preset(loss="nst", setting="CIFAR-100", terms=_ce_and("nst", 50), source=CRD_BENCHMARK),
    Preset(loss="cc", setting="CIFAR-100", terms=_ce_and("cc", 0.02), source=CRD_BENCHMARK),
    Preset(
        loss="fsp",
        setting="CIFAR-100, equal widths, in a stage of its own from which the student then starts",
        terms={"fsp": 50},
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
