"""Whether what a training is set to do fits its images, as far as only the data set itself tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd import catalog
from kd.data.arrays import ImageArrays
from kd.errors import SpecError
from kd.losses.label_kinds import loss_misfit, sampling_misfit, weighting_misfit


def require_fitting(settings: Mapping[str, Any], arrays: ImageArrays) -> None:
    """Raise SpecError when a loss or a weighting is for images of one class and these have several labels, or so."""
    found = [
        loss_misfit(name, entry.inputs, multi_label=arrays.multi_label)
        for name in settings["loss"]
        if (entry := catalog.find("loss", name))
    ]
    if "weighting" in settings:
        found.append(weighting_misfit(settings["weighting"]["name"], multi_label=arrays.multi_label))
    found.append(sampling_misfit(settings.get("sampling"), settings["loss"], multi_label=arrays.multi_label))
    if faults := [fault for fault in found if fault]:
        raise SpecError(faults)
