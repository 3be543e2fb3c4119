"""timm and torchvision by name: every name known, arguments as the constructors have them, nothing imported."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from kd import catalog, library_networks
from kd.library_networks import LIBRARIES, find_network, names
from kd.vision_libraries import import_vision


def test_the_names_are_those_that_the_libraries_register() -> None:
    models = import_vision("torchvision.models")
    assert set(names("torchvision")) == set(models.list_models(module=models))
    assert set(names("timm")) == set(import_vision("timm").list_models())


@pytest.mark.parametrize("name", [f"{library}/{network}" for library in LIBRARIES for network in names(library)][::29])
def test_what_is_offered_is_what_the_constructor_takes(name: str) -> None:
    library, network = name.split("/")
    found = find_network(library, network)
    assert found is not None
    module = "timm.models" if library == "timm" else "torchvision.models"
    function = getattr(import_vision(module), network)
    returned = inspect.signature(function).return_annotation
    if found.signature.open_ended or not isinstance(returned, type):
        return
    taken: set[str] = set()
    for base in returned.__mro__:
        if "__init__" in vars(base):
            taken |= set(inspect.signature(base.__init__).parameters)
    own = set(inspect.signature(function).parameters)
    assert found.signature.arguments
    assert set(found.signature.arguments) <= taken | own
    assert "num_classes" in found.signature.supplied


def test_a_dry_look_imports_neither_torch_nor_the_library() -> None:
    code = (
        "import sys; from kd import catalog; catalog.find('model', 'timm/mobilenetv3_small_050'); "
        "catalog.unknown('model', 'torchvision/resnet19'); "
        "print([name for name in ('torch', 'numpy', 'timm', 'torchvision') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "timm/mobilenetv3_smal_050",
            "timm has no network 'mobilenetv3_smal_050' (did you mean 'mobilenetv3_small_050'?)",
        ),
        ("torchvision/resnet19", "torchvision has no network 'resnet19' (did you mean 'resnet18'?)"),
        ("mobilenetv3_small_050", "unknown model 'mobilenetv3_small_050' (did you mean 'timm/mobilenetv3_small_050'?)"),
        ("timm/vit_tiny_patch16_224.nope", "timm has no weights 'nope' of 'vit_tiny_patch16_224'"),
        ("resnet9000", "unknown model 'resnet9000'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, said: str) -> None:
    assert catalog.find("model", name) is None
    assert catalog.unknown("model", name).startswith(said)


def test_a_tag_of_published_weights_may_stand_behind_a_name() -> None:
    found = find_network("timm", "vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    assert found is not None
    assert (found.name, found.tag) == ("vit_tiny_patch16_224", "augreg_in21k_ft_in1k")


def faults(name: str, given: dict[str, object]) -> list[str]:
    entry = catalog.find("model", name)
    assert entry is not None
    return [message for _, message in catalog.check_arguments(entry, "model", given, own=["name"])]


def test_arguments_of_a_network_are_checked() -> None:
    assert faults("timm/resnet18", {"drop_path_rate": 0.1, "resize": 64, "taps": {"stage1": "network.layer1"}}) == []
    (said,) = faults("timm/resnet18", {"drop_path_rat": 0.1})
    assert said == "model 'timm/resnet18' takes no 'drop_path_rat' (did you mean 'drop_path_rate'?)"
    (said,) = faults("torchvision/resnet18", {"groups": "two"})
    assert said == "groups: expected a whole number, got 'two'"
    assert faults("timm/resnet18", {"num_classes": 3}) != []


def test_only_what_is_given_is_in_the_settings_beside_our_own_arguments() -> None:
    assert catalog.resolve_arguments("model", "timm/resnet18", {"drop_path_rate": 1}) == {
        "drop_path_rate": 1.0,
        "resize": None,
        "pretrained": False,
        "freeze_backbone": False,
    }


def test_the_identity_names_the_version_and_follows_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    version = library_networks.installed_version("timm")
    entry = catalog.find("model", "timm/resnet18")
    assert entry is not None
    assert entry.identity is not None
    assert entry.identity.startswith(f"timm {version} ")
    assert catalog.find("model", "resnet18").identity is None  # type: ignore[union-attr]
    found = find_network("timm", "resnet18")
    assert found is not None
    changed = library_networks.LibraryNetwork(
        library="timm", name="resnet18", tag="", summary="", source=found.source + b"\n", signature=found.signature
    )
    assert library_networks.source_identity(changed) != entry.identity
