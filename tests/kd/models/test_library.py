"""Networks of timm and torchvision as models of kd: a spread over families, each of which works or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kd.catalog import load
from kd.compress.cost import count_flops, count_parameters
from kd.compress.portable_files import export_onnx, export_torch
from kd.compress.prune import prune_channels
from kd.distill.features import FeatureTaps
from kd.errors import CheckpointError, SpecError
from kd.models.normalisation import normalisation_of
from kd.train.weights import ModelCard, load_model, save_weights
from kd.vision_libraries import import_vision

CLASSES, SIDE = 7, 64


class Family(NamedTuple):
    """One network of a family: its four stages' channels, and why it cannot be pruned, where it cannot."""

    channels: tuple[int, ...]
    not_pruned: str | None = None


NORMALISED = r"^layer '[\w.]+' \(LayerNorm\w*\) cannot be pruned: only convolutions, linear layers and batch norms can$"
SHUFFLED = "^LibraryNetwork cannot be pruned: torch-pruning does not follow its channels$"
TOKENS = r"^layer 'network' \(VisionTransformer\) cannot be pruned"
FAMILIES = {
    "timm/convnext_atto": Family((40, 80, 160, 320), NORMALISED),
    "timm/deit_tiny_patch16_224": Family((192, 192, 192, 192), TOKENS),
    "timm/swin_tiny_patch4_window7_224": Family((96, 192, 384, 768), NORMALISED),
    "timm/efficientnet_lite0": Family((24, 40, 112, 320)),
    "timm/mobilenetv3_small_050": Family((8, 16, 24, 288)),
    "timm/mobilenetv4_conv_small_035": Family((16, 24, 32, 336)),
    "timm/regnetx_002": Family((24, 56, 152, 368)),
    "timm/densenet121": Family((256, 512, 1024, 1024)),
    "timm/resnet18d": Family((64, 128, 256, 512)),
    "torchvision/regnet_x_400mf": Family((32, 64, 160, 400)),
    "torchvision/swin_t": Family((96, 192, 384, 768), NORMALISED),
    "torchvision/mobilenet_v3_small": Family((16, 24, 48, 576)),
    "torchvision/resnet18": Family((64, 128, 256, 512)),
    "torchvision/shufflenet_v2_x0_5": Family(
        (24, 48, 96, 1024), "^LibraryNetwork cannot be pruned: torch-pruning does"
    ),
}
EXPORTED = ("timm/mobilenetv3_small_050", "timm/regnetx_002", "timm/deit_tiny_patch16_224")


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    torch.manual_seed(0)
    return request.param, load("model", request.param)(CLASSES, 3, SIDE)


def images(batch: int = 2, channels: int = 3) -> Tensor:
    return torch.randn(batch, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(batch))


def test_logits_gradients_and_taps(made: tuple[str, nn.Module]) -> None:
    name, model = made
    model.eval()
    with torch.no_grad():
        plain = model(images())
    taps = FeatureTaps(model)
    logits, features = model(images()), taps.collect()
    taps.remove()
    torch.testing.assert_close(logits.detach(), plain)
    assert logits.shape == (2, CLASSES)
    pooled = features.pop("pooled")
    assert pooled.shape == (2, model.get_submodule(model.parts.classifier).in_features)
    assert tuple(feature.shape[1] for feature in features.values()) == FAMILIES[name].channels
    assert all(feature.shape[2] == feature.shape[3] for feature in features.values())
    sum(feature.square().mean() for feature in features.values()).backward()
    assert model.get_parameter(f"{model.parts.first_convolution}.weight").grad.abs().sum() > 0
    model.zero_grad(set_to_none=True)
    model.train()
    nn.functional.cross_entropy(model(images(4)), torch.arange(4)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.zero_grad(set_to_none=True)


def test_cost_is_counted(made: tuple[str, nn.Module]) -> None:
    assert count_flops(made[1], images()[0]) > 2 * count_parameters(made[1]) / 100


def test_a_network_comes_back_from_disk(made: tuple[str, nn.Module], tmp_path: Path) -> None:
    name, model = made
    save_weights(tmp_path / "weights.safetensors", model.state_dict(), _card(name, {}))
    back, _ = load_model(tmp_path / "weights.safetensors")
    with torch.no_grad():
        assert torch.equal(back.eval()(images()), model.eval()(images()))


def test_it_is_pruned_or_refused_in_one_true_line(made: tuple[str, nn.Module], tmp_path: Path) -> None:
    name, _ = made
    model = load("model", name)(CLASSES, 3, SIDE)
    if (why := FAMILIES[name].not_pruned) is not None:
        with pytest.raises(SpecError, match=why) as error:
            prune_channels(model, images()[0], ratio=0.3)
        assert "\n" not in str(error.value)
        return
    pruning = prune_channels(model, images()[0], ratio=0.3)
    assert pruning.after.parameters < 0.8 * pruning.before.parameters
    save_weights(tmp_path / "pruned.safetensors", model.state_dict(), _card(name, {}, widths=pruning.widths))
    back, _ = load_model(tmp_path / "pruned.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(back.eval()(images()), model.eval()(images()))


@pytest.mark.parametrize("name", EXPORTED)
def test_it_is_exported_with_equal_outputs(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = load("model", name)(CLASSES, 3, SIDE).eval()
    assert export_onnx(model, images(), tmp_path / "model.onnx") < 1e-4
    assert export_torch(model, images(), tmp_path / "model.pt2") < 1e-4


def _card(name: str, arguments: dict[str, object], **further: object) -> ModelCard:
    classes = tuple(map(str, range(CLASSES)))
    return ModelCard(
        name=name,
        arguments=arguments,
        classes=classes,
        in_channels=3,
        image_size=SIDE,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        **further,
    )


@pytest.mark.parametrize("name", ["timm/mobilenetv3_small_050", "torchvision/resnet18", "timm/deit_tiny_patch16_224"])
def test_images_of_one_channel_and_of_another_size_are_taken(name: str) -> None:
    model = load("model", name)(CLASSES, 1, 32, resize=64)
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, CLASSES)


def test_a_files_weights_are_taken_by_a_network_of_timm_for_other_images(tmp_path: Path) -> None:
    theirs = import_vision("timm").create_model("vit_tiny_patch16_224", num_classes=CLASSES).eval()
    path = tmp_path / "vit.safetensors"
    save_file(theirs.state_dict(), path)
    same = load("model", "timm/vit_tiny_patch16_224")(CLASSES, 3, 224, pretrained=str(path)).eval()
    shown = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(same(shown), theirs(shown))
    other = load("model", "timm/vit_tiny_patch16_224")(3, 1, 64, pretrained=str(path), freeze_backbone=True)
    assert torch.equal(other.network.blocks[3].mlp.fc1.weight, theirs.blocks[3].mlp.fc1.weight)
    assert (other.started_from["classifier"], other.started_from["first_convolution"]) == ("new", "adapted")
    trained = {name for name, parameter in other.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"head", "patch_embed"}


def test_torchvisions_published_file_is_taken_with_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"there is no \S+/mobilenet_v3_small-047dcff4\.pth; put https://"):
        load("model", "torchvision/mobilenet_v3_small")(CLASSES, 3, SIDE, pretrained=True)
    theirs = import_vision("torchvision.models").mobilenet_v3_small().eval()
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    torch.save(theirs.state_dict(), tmp_path / "hub" / "checkpoints" / "mobilenet_v3_small-047dcff4.pth")
    ours = load("model", "torchvision/mobilenet_v3_small")(1000, 3, SIDE, pretrained=True).eval()
    with torch.inference_mode():
        torch.testing.assert_close(ours(images()), theirs(images()))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("torchvision/inception_v3", {}, "torchvision/inception_v3 cannot be built for 3x64x64 images: "),
        ("timm/resnet18", {"output_stride": 3}, "timm/resnet18 cannot be built for 3x64x64 images: "),
        ("timm/vit_tiny_patch16_224", {"global_pool": ""}, "gives Tensor and not one row of logits per image"),
    ],
)
def test_what_the_library_objects_to_is_one_line(name: str, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError) as error:
        load("model", name)(CLASSES, 3, SIDE, **arguments)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_pixels_are_normalised_as_the_weights_were_trained_where_they_are_published_ones() -> None:
    name, imagenet = "timm/resnet18.a1_in1k", ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert normalisation_of(name, {}, 3) is None
    assert normalisation_of(name, {"pretrained": True}, 3) == imagenet
    assert normalisation_of(name, {"pretrained": True, "normalisation": "data"}, 3) is None
    assert normalisation_of("timm/vit_tiny_patch16_224", {"pretrained": "x.pth"}, 3) == ((0.5,) * 3, (0.5,) * 3)
    assert normalisation_of("torchvision/resnet18", {"pretrained": True}, 3) == imagenet
    assert normalisation_of("resnet18", {"pretrained": True}, 3) is None
    assert normalisation_of("resnet18", {"normalisation": "imagenet"}, 1) == (
        (pytest.approx(0.449),),
        (pytest.approx(0.226),),
    )
    with pytest.raises(SpecError, match="'imagenet' is for 3 channels, and the images have 4"):
        normalisation_of("resnet18", {"normalisation": "imagenet"}, 4)
    with pytest.raises(SpecError, match="nothing is known of that of 'resnet18'; choose one of data, imagenet, half"):
        normalisation_of("resnet18", {"normalisation": "own"}, 3)


def test_taps_are_the_outputs_of_any_modules_by_path() -> None:
    card = _card("resnet18", {"width": 4, "taps": {"stage1": "layer1.0", "pooled": "flatten"}})
    model = card.build().eval()
    taps = FeatureTaps(model)
    with torch.no_grad():
        model(images())
    assert {name: tuple(value.shape) for name, value in taps.collect().items()} == {
        "stage1": (2, 4, 64, 64),
        "pooled": (2, 32),
    }
    with pytest.raises(SpecError, match=r"taps: ResNet has no module 'layer9' \(did you mean 'layer"):
        _card("resnet18", {"width": 4, "taps": {"stage1": "layer9"}}).build()
