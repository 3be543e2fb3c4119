"""The two-dimensional data sets of MedMNIST (Yang et al. 2023, https://doi.org/10.1038/s41597-022-01721-8).

Class names and channels are those of its table ``medmnist/info.py``. Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kd.errors import DataError

_USUAL_SIZE = 28  # the files of this size carry none in their names
_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right"),
    *("liver", "lung-left", "lung-right", "pancreas", "spleen"),
)


class Flag(NamedTuple):
    """Class names and channels of one data set; with ``multi_label`` each class is a yes or no of its own."""

    names: tuple[str, ...]
    channels: int
    multi_label: bool = False

    @property
    def classes(self) -> int:
        """Number of classes, or of labels."""
        return len(self.names)


FLAGS: Mapping[str, Flag] = {
    "pathmnist": Flag(
        names=(
            *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
            *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
        ),
        channels=3,
    ),
    "chestmnist": Flag(
        names=(
            *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia"),
            *("pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
        ),
        channels=1,
        multi_label=True,
    ),
    "dermamnist": Flag(
        names=(
            *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma"),
            *("benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
        ),
        channels=3,
    ),
    "octmnist": Flag(
        names=("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        channels=1,
    ),
    "pneumoniamnist": Flag(names=("normal", "pneumonia"), channels=1),
    "retinamnist": Flag(names=("0", "1", "2", "3", "4"), channels=3),  # grades of diabetic retinopathy
    "breastmnist": Flag(names=("malignant", "normal, benign"), channels=1),
    "bloodmnist": Flag(
        names=(
            *("basophil", "eosinophil", "erythroblast"),
            "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
            *("lymphocyte", "monocyte", "neutrophil", "platelet"),
        ),
        channels=3,
    ),
    "tissuemnist": Flag(
        names=(
            *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
            *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
            "Thick Ascending Limb",
        ),
        channels=1,
    ),
    "organamnist": Flag(names=_ORGANS, channels=1),
    "organcmnist": Flag(names=_ORGANS, channels=1),
    "organsmnist": Flag(names=_ORGANS, channels=1),
}


def find_file(root: Path | None, flag: str, size: int) -> Path:
    """Return the file to read: ``root`` itself or the one of the official name in it. Raises DataError."""
    name = f"{flag}.npz" if size == _USUAL_SIZE else f"{flag}_{size}.npz"
    if root is None:
        raise DataError(f"data set medmnist needs data.root: {name} or its folder")
    if root.is_dir():
        if not (root / name).is_file():
            raise DataError(f"{root}: holds no {name}")
        return root / name
    if not root.is_file():
        raise DataError(f"{root}: no such file or folder")
    named = root.stem.partition("_")[0]
    if named != flag and named in FLAGS:
        raise DataError(f"{root}: is {named}, but data.flag is {flag}")
    return root
