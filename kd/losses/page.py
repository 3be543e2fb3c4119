"""The page docs/losses.md, from the catalogue and the presets: python -m kd.losses.page > docs/losses.md."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kd import catalog
from kd.losses.authors_code import COMPARISONS
from kd.losses.costs import MILLISECONDS
from kd.losses.inputs import INPUTS
from kd.losses.presets import PRESETS

_HEAD = """\
# Losses

A stage minimises a weighted sum of named terms. Any combination is one line of a job file:

```yaml
loss: {ce: 1, at: 1000}                                  # name: weight
loss: {ce: 0.1, kd: {weight: 0.9, temperature: 4}}       # with arguments of the loss
```

A loss may stand in a stage several times, under names that the terms are given:

```yaml
loss: {ce: 0.2, kd: {weight: 0.4, temperature: 2}, kd_hot: {loss: kd, weight: 0.4, temperature: 8}}
```

Of several teachers a term may ask one, `at: {weight: 1000, teacher: big}`. Losses on features have to.

Every term is logged by itself, without its weight, as `loss_<name>` in `metrics.csv`. Losses are computed in float32,
whatever the networks run in. The teacher runs in evaluation mode, without gradients, on exactly the student's images.

Losses on feature maps or pooled features need models that declare feature taps; a job file that asks for them from
other models is refused when it is loaded. `stages` counts from 1 and chooses which stages of the two networks are
compared. By default it is stage by stage where both have equally many, else the last of each; `sp` takes the last,
`fitnet` the middle one. Maps of different sizes are averaged down to the smaller. They are taken after the activation;
`review` takes the teacher's before it, as its authors do, from models that declare those too (all of this package).

An *adapter* is what a loss trains or remembers beside the student: regressors (`fitnet`, `vid`), a fusion (`review`),
a memory of all training images (`crd`, 1 kB per image). Its shapes come from a dry run of the two networks. It is
trained by the same optimizer (scales and offsets without weight decay), saved in the checkpoint, and not part of the
student's weights.
"""

_TRAPS = """\
## Before comparing methods

- Weights depend on the scale of a formula. The formulas are in the docstrings of `kd/losses/`; other code may average
  where this code sums.
- `dkd` and `nkd` need hard labels. With two classes the second part of `dkd` is 0.
- `kd_standardised`: after standardising, no logit exceeds (C - 1) / sqrt(C). With 10 classes at temperature 2 no target
  probability exceeds 0.35. Try 0.25, 0.5 and 1 there.
- `sp`, `rkd`, `pkt` and the second part of `dist` compare the images of one batch: their value depends on `batch_size`.
  `rkd` takes memory with its third power.
- `crd` draws its negatives with replacement.
- Most of these settings were found on one pair of networks and are reported for the best epoch on the test set.
"""


def page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_losses(), "", *_inputs(), "", *_presets(), "", *_comparisons(), "", _TRAPS])


def main() -> int:
    """Print the page."""
    sys.stdout.write(page())
    return 0


def _losses() -> Iterator[str]:
    rows = []
    for name, entry in sorted(catalog.entries("loss").items()):
        arguments = (f"`{key}: {_shown(argument.default)}`" for key, argument in entry.arguments.items())
        inputs = (f"`{each}`" for each in entry.inputs)
        cost = f"{MILLISECONDS[name]:.3g}"
        rows.append((f"`{name}`", entry.summary, "<br>".join(inputs), "<br>".join(arguments), cost))
    yield from ("## The losses", "")
    yield "*ms* is the processor time of forward and backward of the loss alone on one thread, for a batch of 64 of the"
    yield "sizes of `resnet32x4` and `resnet8x4` on CIFAR-100 (`benchmarks/losses.py`). Read the ratios."
    yield ""
    yield from _table(("name", "what it is", "asks for", "arguments and defaults", "ms"), rows)


def _inputs() -> Iterator[str]:
    yield from ("## What a loss can ask for", "")
    yield "A loss is a function in `kd/losses/`, its name in `__all__`. Its positional parameters are from this list;"
    yield "its keyword-only parameters are the arguments of the job file."
    yield ""
    yield from _table(("parameter", "what it is"), ((f"`{name}`", what) for name, what in INPUTS.items()))


def _presets() -> Iterator[str]:
    rows = [(f"`{each.loss}`", each.setting, f"`loss: {_flow(each.terms)}`", each.source) for each in PRESETS]
    yield from ("## The papers' settings", "")
    yield from _table(("loss", "used for", "in a job file", "source"), rows)


def _comparisons() -> Iterator[str]:
    yield from ("## Compared with public code", "")
    yield "On the same random tensors in float64; `review` on the authors' own networks with equal weights. Figures are"
    yield "the largest relative difference of the value and of any gradient."
    yield ""
    rows = (
        (f"`{each.loss}`", each.code, f"{each.value:.0e}", f"{each.gradient:.0e}", each.kept) for each in COMPARISONS
    )
    yield from _table(("loss", "code", "value", "gradient", "differences kept on purpose"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _flow(value: Any) -> str:
    """Return terms as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, float) and "e" in str(value):  # which YAML would read as text
        return f"{value:.12f}".rstrip("0")
    return "null" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
