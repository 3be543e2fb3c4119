"""How far a chain of teaching assistants is worth going: the rule, on numbers alone.

Teacher assistants are those of Mirzadeh et al. 2020 (arXiv:1902.03393). A larger network between teacher and student
may teach better or worse than the teacher itself, so each further step has to earn its place: the student that it
taught must make fewer errors on validation images than the student of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A candidate, by its student's share of errors on validation, and whether it took the place of the one before.

    ``fall`` is how much less that is than the error of the candidate in place, ``standard_error`` that of this paired
    difference, ``needed`` what the fall had to exceed or reach. All three are None of the first candidate, and of
    those after a refusal, which are not looked at.
    """

    error: float
    fall: float | None = None
    standard_error: float | None = None
    needed: float | None = None
    accepted: bool


def choose(correct: Sequence[Tensor], *, minimum_gain: float) -> tuple[int, list[Step]]:
    """Return the index of the chosen candidate and what was found of each.

    ``correct`` [images], one per candidate: which images its student classified correctly, or the share of an image's
    labels that it did; the same images in the same order. A candidate is accepted when its student's error is lower
    than that of the one before by at least the share ``minimum_gain``, and by more than one standard error of the
    paired difference. The first candidate that is not ends the chain.
    """
    errors = [1 - float(each.double().mean()) for each in correct]
    chosen, ended = 0, False
    steps = [Step(error=errors[0], accepted=True)]
    for candidate, error in enumerate(errors[1:], start=1):
        if ended:
            steps.append(Step(error=error, accepted=False))
            continue
        difference = correct[candidate].double() - correct[chosen].double()  # of each image: 1 won, -1 lost
        fall = float(difference.mean())
        standard_error = float(difference.std()) / sqrt(len(difference))
        share = minimum_gain * errors[chosen]
        accepted = fall > standard_error and fall >= share
        steps.append(
            Step(
                error=error,
                fall=fall,
                standard_error=standard_error,
                needed=max(share, standard_error),
                accepted=accepted,
            )
        )
        chosen, ended = (candidate, False) if accepted else (chosen, True)
    return chosen, steps
