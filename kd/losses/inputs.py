"""What a loss function may ask for: the fixed vocabulary of positional parameters, here and nowhere else.

A loss names what it needs as positional parameters; ``kd.distill.objective`` computes that and nothing more. What a job
file may set are its keyword-only parameters. B: images of a batch, C: classes, K: labels of which an image may have
several, D: width of the pooled features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

LossInputs: TypeAlias = dict[str, Any]  # values of what is named below: tensors, lists of one per stage, an epoch

# parameter -> what it is
STUDENT = {
    "student_logits_BC": "the student's logits [B, C], float32, before softmax",
    "student_logits_BK": "the student's logits [B, K], one per label, float32, before the sigmoid",
    "student_logits": "either of the two above, whichever the data have",
    "student_maps": "the student's feature maps [B, channels, H, W], one per stage, early to late",
    "student_preactivations": "the student's feature maps before the activation, as its taps declare them",
    "student_pooled_BD": "the student's features [B, D] in front of its classifier",
}
TEACHER = {
    "teacher_logits_BC": "the teacher's logits [B, C], float32, before softmax",
    "teacher_logits_BK": "the teacher's logits [B, K], as the student's",
    "teacher_logits": "the teacher's logits, as the student's",
    "teacher_maps": "the teacher's feature maps, as the student's",
    "teacher_preactivations": "the teacher's feature maps before the activation, as its taps declare them",
    "teacher_pooled_BD": "the teacher's features [B, D] in front of its classifier",
}
BATCH = {
    "labels_B": "the true classes [B], int64",
    "labels_BK": "which labels hold [B, K], 0 or 1",
    "labels": "either of the two above, whichever the data have",
    "indices_B": "which training images these are [B], int64",
    "epoch": "the epoch under way, counted from 0",
}
COUNTS = {
    "class_counts_C": "how many training images are of each class [C], int64",
    "label_counts_K2": "how many training images have each label not, and have it [K, 2], int64",
}
LABELS = ("labels_B", "labels_BK", "labels")
# Only builders of adapters may ask for these.
DATA = {
    "labels_N": "the classes of all training images [N], int64",
    "teacher_norms": "scales and offsets of the batch norm before each of the teacher's preactivations, or None",
}
ADAPTER = {"adapter": "the loss's own module, trained or filled beside the student (see kd.losses.builders)"}

INPUTS = {**STUDENT, **TEACHER, **BATCH, **COUNTS, **ADAPTER}
FEATURES = frozenset(name for name in INPUTS if name.endswith(("_maps", "_preactivations", "_pooled_BD")))
PREACTIVATIONS = frozenset(name for name in INPUTS if name.endswith("_preactivations"))
# logits of labels are computed like those of classes; only what they mean differs
SAME = {f"{who}_logits{axes}": f"{who}_logits_BC" for who in ("student", "teacher") for axes in ("_BK", "")}
TEACHER_LOGITS = frozenset(name for name in TEACHER if "logits" in name)


def needs_preactivations(inputs: Iterable[str]) -> bool:
    """Whether these parameters ask for maps before the activation, which fewer models declare."""
    return not PREACTIVATIONS.isdisjoint(inputs)


def needs_features(inputs: Iterable[str]) -> bool:
    """Whether these parameters ask for more than logits, so that models must declare feature taps."""
    return not FEATURES.isdisjoint(inputs)
