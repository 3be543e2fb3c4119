"""A file of weights into a network: prefixes and other code bases' names, classifiers, and true reasons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kd.errors import CheckpointError
from kd.models.cifar_resnet import resnet20
from kd.models.resnet import resnet18, resnet34
from kd.models.shufflenet import shufflenet_v1, shufflenet_v2
from kd.models.trained_weights import Loaded, find_parts, load_trained
from kd.models.vgg import vgg8
from kd.models.vit import vit6
from kd.models.wide_resnet import wrn16_2

Names = Callable[[str], str]


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return weights of a network that no fresh one has."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }


def loaded(folder: Path, network: nn.Module, content: Mapping[str, object], **options: object) -> Loaded:
    path = folder / "weights.pth"
    torch.save(content, path)
    return load_trained(network, path, **options)


def require_taken(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "backbone.", "module._orig_mod.", "_orig_mod.module.model.backbone."]
)
def test_the_prefixes_of_wrappers_are_taken_off_in_any_order(prefix: str, tmp_path: Path) -> None:
    network = resnet20(10, 3, 32)
    weights = weights_of(network)
    found = loaded(tmp_path, network, {"state_dict": {prefix + name: value for name, value in weights.items()}})
    require_taken(network, weights)
    assert (found.prefix, found.place, found.classifier) == (prefix, ("state_dict",), "kept")


def test_a_prefix_that_only_the_body_has_is_taken_off_it(tmp_path: Path) -> None:
    network = resnet20(10, 3, 32)
    weights = weights_of(network)
    loaded(tmp_path, network, {name if name.startswith("fc") else f"model.{name}": v for name, v in weights.items()})
    require_taken(network, weights)


def test_parts_that_were_compiled_alone_fit(tmp_path: Path) -> None:
    network = resnet20(10, 3, 32)
    weights = weights_of(network)
    loaded(tmp_path, network, {name.replace("layer2.", "layer2._orig_mod."): v for name, v in weights.items()})
    require_taken(network, weights)


class Prefixed(nn.Module):
    """A network whose own names begin like those of a wrapper."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"backbone": nn.Conv2d(3, 4, 3), "head": nn.Linear(4, 10)})


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_networks_own_name_is_no_prefix(prefix: str, tmp_path: Path) -> None:
    network = Prefixed()
    weights = weights_of(network)
    loaded(tmp_path, network, {prefix + name: value for name, value in weights.items()})
    require_taken(network, weights)


def test_a_transformer_takes_its_own_file_and_timms_with_a_prefix(tmp_path: Path) -> None:
    network = vit6(10, 3, 32)
    weights = weights_of(network)
    loaded(tmp_path, network, {f"module.{name}": value for name, value in weights.items()})
    require_taken(network, weights)
    fresh = vit6(10, 3, 32)
    loaded(tmp_path, fresh, {f"module.{name.removeprefix('network.')}": value for name, value in weights.items()})
    require_taken(fresh, weights)


@pytest.mark.parametrize(
    ("build", "theirs"),
    [
        (wrn16_2, lambda name: _in_blocks(name).replace(".shortcut.", ".convShortcut.")),
        (vgg8, lambda name: name.replace("fc.", "classifier.")),
        (resnet18, lambda name: name.replace(".downsample.", ".shortcut.").replace("fc.", "linear.")),
        (shufflenet_v1, lambda name: name.replace("fc.", "linear.")),
        (shufflenet_v2, lambda name: name.replace("fc.", "linear.")),
    ],
)
def test_the_names_of_repdistiller_and_mdistiller_fit(build: Callable, theirs: Names, tmp_path: Path) -> None:
    network = build(10, 3, 32)
    weights = weights_of(network)
    renamed = {theirs(name): value for name, value in weights.items()}
    assert set(renamed) != set(weights)
    found = loaded(tmp_path, network, {"epoch": 240, "model": renamed})
    require_taken(network, weights)
    assert "mdistiller" in found.names


def _in_blocks(name: str) -> str:
    head, _, rest = name.partition(".")
    return f"{head}.layer.{rest}" if head.startswith("block") else name


def refusal(folder: Path, network: nn.Module, content: Mapping[str, object], **options: object) -> str:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        loaded(folder, network, content, **options)
    require_taken(network, before)
    assert str(error.value).startswith(f"{folder}/weights.pth: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_classifier_of_other_classes_or_a_missing_one_is_refused_unless_asked_for(tmp_path: Path) -> None:
    other = weights_of(resnet20(7, 3, 32))
    assert "is of 7 classes, and there are 10; 'classifier: new'" in refusal(tmp_path, resnet20(10, 3, 32), other)
    headless = {name: value for name, value in other.items() if not name.startswith("fc.")}
    assert "has no classifier (fc); 'classifier: new'" in refusal(tmp_path, resnet20(10, 3, 32), headless)
    for weights in (other, headless):
        network = resnet20(10, 3, 32)
        drawn = network.fc.weight.detach().clone()
        found = loaded(tmp_path, network, weights, classifier="new")
        assert torch.equal(network.fc.weight, drawn)
        assert torch.equal(network.conv1.weight, weights["conv1.weight"])
        assert found.facts() == {
            "file": f"{tmp_path}/weights.pth",
            "classifier": "new",
            "first_convolution": "kept",
        }
        assert network.started_from == found.facts()


def test_a_classifier_that_fits_is_kept_although_a_new_one_was_allowed(tmp_path: Path) -> None:
    network = resnet20(10, 3, 32)
    weights = weights_of(network)
    assert loaded(tmp_path, network, weights, classifier="new").classifier == "kept"
    require_taken(network, weights)


def test_heads_of_other_tasks_are_left_out_by_name_where_a_classifier_is_drawn(tmp_path: Path) -> None:
    weights = weights_of(resnet20(10, 3, 32))
    projected = {name: value for name, value in weights.items() if not name.startswith("fc.")}
    projected |= {"projector.0.weight": torch.ones(8, 64)}
    found = loaded(tmp_path, resnet20(10, 3, 32), projected, classifier="new")
    assert found.left_out == ("projector.0.weight",)


def test_another_network_is_refused_with_what_is_missing_and_what_is_unknown(tmp_path: Path) -> None:
    deeper = weights_of(resnet34(10, 3, 32, width=4))
    for classifier in ("kept", "new"):
        said = refusal(tmp_path, resnet18(10, 3, 32, width=4), deeper, classifier=classifier)
        assert "of another network: 102 of its 102 tensors are there; unknown: layer1.2.conv1.weight" in said
    said = refusal(tmp_path, resnet34(10, 3, 32, width=4), weights_of(resnet18(10, 3, 32, width=4)))
    assert "102 of its 182 tensors are there; missing: layer1.2.conv1.weight" in said


def test_another_width_or_stem_is_refused_with_both_shapes(tmp_path: Path) -> None:
    said = refusal(tmp_path, resnet18(10, 3, 32, width=4), weights_of(resnet18(10, 3, 32, width=8)))
    assert "conv1.weight is [8, 3, 3, 3] there and [4, 3, 3, 3] here, and so" in said
    said = refusal(tmp_path, resnet18(10, 3, 32, width=4), weights_of(resnet18(10, 3, 64, width=4, stem="imagenet")))
    assert "conv1.weight is [4, 3, 7, 7] there and [4, 3, 3, 3] here" in said


def test_an_unusual_prefix_is_named(tmp_path: Path) -> None:
    weights = weights_of(resnet20(10, 3, 32))
    said = refusal(tmp_path, resnet20(10, 3, 32), {f"student.{name}": value for name, value in weights.items()})
    assert "all its names begin with 'student.' and fit without it" in said


def test_files_without_counters_of_batches_fit(tmp_path: Path) -> None:
    network = resnet20(10, 3, 32)
    weights = weights_of(network)
    loaded(tmp_path, network, {name: value for name, value in weights.items() if "num_batches" not in name})
    require_taken(network, weights)


def test_parts_are_found_in_any_network() -> None:
    assert find_parts(resnet20(10, 3, 32)).classifier == "fc"
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 10), nn.Linear(10, 4))
    assert find_parts(network, classes=10) == ("0", ("0",), "3")
    assert find_parts(network).classifier == "4"
    assert find_parts(nn.Linear(3, 2)).first_convolution == ""


def test_a_chain_of_prefixes_and_several_networks_in_one_file_are_named(tmp_path: Path) -> None:
    weights = weights_of(resnet20(10, 3, 32))
    said = refusal(tmp_path, resnet20(10, 3, 32), {f"module.encoder.{name}": value for name, value in weights.items()})
    assert "all its names begin with 'module.encoder.' and fit without it" in said
    both = {f"{whose}.{name}": value for name, value in weights.items() for whose in ("student", "teacher")}
    said = refusal(tmp_path, resnet20(10, 3, 32), both)
    assert "it holds more than one network; this one's names stand below 'student.' and 'teacher.'; save the" in said


def test_what_counts_operations_beside_the_weights_is_named_with_the_remedy(tmp_path: Path) -> None:
    counted = {**weights_of(resnet20(10, 3, 32)), "total_ops": torch.zeros(1)}
    said = refusal(tmp_path, resnet20(10, 3, 32), counted)
    assert "unknown: total_ops; if those are no layers, save the weights without them" in said
