"""Whether the losses and weighting of a training fit the kind of its labels, which only the data set itself shows."""

from __future__ import annotations

from kd import catalog
from kd.data.arrays import ImageArrays
from kd.errors import SpecError
from kd.losses.label_kinds import loss_misfit, sampling_misfit, weighting_misfit
from kd.rundir.stage_spec import TrainSettings


def require_fitting(settings: TrainSettings, arrays: ImageArrays) -> None:
    """Raise SpecError when a loss or a weighting is for one label per image and these have several, or vice versa."""
    losses = [term.loss_name(name) for name, term in settings.loss.items()]
    found = [
        loss_misfit(name, entry.inputs, multi_label=arrays.multi_label)
        for name in losses
        if (entry := catalog.find("loss", name))
    ]
    if settings.weighting is not None:
        found.append(weighting_misfit(settings.weighting.name, multi_label=arrays.multi_label))
    found.append(sampling_misfit(settings.sampling, losses, multi_label=arrays.multi_label))
    if faults := [fault for fault in found if fault]:
        raise SpecError(faults)
