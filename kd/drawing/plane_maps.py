"""Features in front of a classifier, drawn in a plane by t-SNE or UMAP: which images a network takes for alike.

Only neighbourhoods mean something in such a map; distances between groups, and their sizes, do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kd.errors import UserError
from kd.files import atomic_path

Points: TypeAlias = NDArray[np.float32]  # [N, 2]
SEED = 0  # of the maps, which begin at random
PERPLEXITY = 30.0  # neighbours that t-SNE takes into account, fewer where there are few images


def tsne(features_ND: Tensor) -> Points:
    """Return t-SNE of features [N, D], N > 3 (van der Maaten and Hinton 2008)."""
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, (len(features_ND) - 1) / 3)
    points: Points = TSNE(perplexity=perplexity, init="pca", random_state=SEED).fit_transform(features_ND.numpy())
    return points


def umap(features_ND: Tensor) -> Points:
    """Return UMAP of features [N, D] (arXiv:1802.03426). Raises UserError when umap-learn is not installed."""
    require_method("umap")
    from umap import UMAP

    points: Points = UMAP(random_state=SEED).fit_transform(features_ND.numpy())
    return points


def require_method(method: str) -> None:
    """Raise UserError when a method's library is not installed."""
    if method == "umap" and find_spec("umap") is None:
        raise UserError("umap-learn is not installed: pip install umap-learn")


METHODS: Mapping[str, Callable[[Tensor], Points]] = {"tsne": tsne, "umap": umap}


def names_of(labels: Tensor, classes: Sequence[str]) -> list[str]:
    """Return the class of each image [N], or its labels [N, K] joined: ``fire and smoke``, ``none``."""
    if labels.ndim == 1:
        return [classes[label] for label in labels.tolist()]
    chosen = ([name for name, yes in zip(classes, row, strict=True) if yes] for row in labels.tolist())
    return [" and ".join(names) or "none" for names in chosen]


def draw(points: Points, names: Sequence[str], title: str, path: Path) -> None:
    """Draw the points as a PNG, a colour per name."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes: Any = figure.subplots()
    for name in sorted(set(names)):
        of_name = points[[other == name for other in names]]
        axes.scatter(*of_name.T, s=8, label=name)
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144)
