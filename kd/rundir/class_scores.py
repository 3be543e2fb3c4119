"""The section of a result.json that tells the classes apart: scores of each, and who is taken for whom."""

# Annotations are values here, not text: msgspec reads them, and evaluating text would slow kd-status.
from msgspec import Struct


class ClassScores(Struct, frozen=True, kw_only=True):
    """How well one class (or label) is found; ``images`` counts the test images that truly are of it."""

    precision: float
    recall: float
    f1_score: float
    images: int


class Detail(Struct, frozen=True, kw_only=True):
    """What the means over the test images hide. ``confusion`` is None with more than 200 classes.

    It counts images: a row for each true class, a column for each predicted one. Where images have several labels, a
    row for each label: truly no and predicted no, no and yes, yes and no, yes and yes.
    """

    classes: dict[str, ClassScores]
    confusion: list[list[int]] | None = None
