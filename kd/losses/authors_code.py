"""How far each loss is from its authors' code, or the benchmark's, on the same tensors: measured once, in float64."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The largest relative difference of the value and of a gradient, and what differs on purpose beside it."""

    loss: str
    code: str
    value: float
    gradient: float
    kept: str


COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        loss="review",
        code="dvlab-research/ReviewKD, CIFAR-100: resnet56, resnet32x4, wrn_40_2",
        value=2e-12,
        gradient=3e-08,
        kept="float32 logits in the cross-entropy beside it (the 3e-8)",
    ),
    Comparison(
        loss="kd",
        code="sunshangquan/logit-standardization-KD, standardised",
        value=7e-08,
        gradient=1e-07,
        kept="no 1e-7 in the denominator (the difference)",
    ),
    Comparison(
        loss="dkd",
        code="sunshangquan/logit-standardization-KD, standardised",
        value=7e-08,
        gradient=1e-07,
        kept="the same; logits of any size stay finite",
    ),
    Comparison(
        loss="mlkd",
        code="sunshangquan/logit-standardization-KD: its three parts",
        value=7e-08,
        gradient=9e-08,
        kept="one view of an image instead of two; no weighing by the median confidence",
    ),
    Comparison(
        loss="ctkd",
        code="zhengli97/CTKD, global temperature",
        value=6e-16,
        gradient=3e-13,
        kept="none; the temperature of each image is not here",
    ),
    Comparison(
        loss="normkd",
        code="gizi1/NormKD",
        value=2e-16,
        gradient=7e-16,
        kept="a student whose logits do not vary gives no NaN",
    ),
    Comparison(
        loss="wsld",
        code="bellymonster/Weighted-Soft-Label-Distillation: ce + 2.5 wsld",
        value=0.0,
        gradient=0.0,
        kept="none",
    ),
    Comparison(
        loss="ofa",
        code="Hao840/OFAKD: ofa_loss",
        value=0.0,
        gradient=2e-16,
        kept="of the final logits alone, without exits at earlier stages",
    ),
    Comparison(
        loss="dist",
        code="hunto/DIST_KD, T = 1, 1,000 classes, batch 32",
        value=0.0,
        gradient=0.0,
        kept="a class or image that does not vary at all passes no gradient",
    ),
    Comparison(
        loss="ofd",
        code="clovaai/overhaul-distillation, CIFAR-100",
        value=5e-11,
        gradient=1e-08,
        kept="margins in float64 (theirs in float32: the difference)",
    ),
    Comparison(
        loss="ab",
        code="HobbitLong/RepDistiller",
        value=2e-16,
        gradient=0.0,
        kept="a connector for equal shapes too; 3/1000 is in the weight",
    ),
    Comparison(
        loss="ickd",
        code="ADLab-AutoDrive/ICKD",
        value=0.0,
        gradient=0.0,
        kept="rows shorter than 1e-6 are zero (theirs 1e-12)",
    ),
    Comparison(
        loss="mgd",
        code="yzd-v/MGD, classification",
        value=0.0,
        gradient=0.0,
        kept="7e-5 is the weight",
    ),
    Comparison(
        loss="srd",
        code="roymiles/Simple-Recipe-Distillation, ImageNet",
        value=0.0,
        gradient=1e-15,
        kept="no running statistics, which nothing reads",
    ),
    Comparison(
        loss="nst",
        code="HobbitLong/RepDistiller",
        value=0.0,
        gradient=3e-15,
        kept="none",
    ),
    Comparison(
        loss="fsp",
        code="HobbitLong/RepDistiller",
        value=0.0,
        gradient=6e-16,
        kept="of the stages, without the stem",
    ),
    Comparison(
        loss="ft",
        code="HobbitLong/RepDistiller: FactorTransfer, Paraphraser, Translator",
        value=0.0,
        gradient=0.0,
        kept="the paraphraser is trained beside the student, not 30 epochs before; factors shorter than 1e-3 are 0",
    ),
    Comparison(
        loss="semckd",
        code="DefangChen/SimKD: SelfA, SemCKDLoss",
        value=0.0,
        gradient=5e-16,
        kept="none",
    ),
    Comparison(
        loss="tfkd",
        code="yuanli2333/Teacher-free-Knowledge-Distillation: 0.9 ce + 0.1 tfkd",
        value=0.0,
        gradient=6e-17,
        kept="summed over the classes (theirs a mean, times 100)",
    ),
    Comparison(
        loss="cc",
        code="HobbitLong/RepDistiller",
        value=0.0,
        gradient=0.0,
        kept="none",
    ),
)
