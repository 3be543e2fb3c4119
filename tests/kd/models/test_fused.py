"""RGB+IR teachers: where they meet, what they take from published weights, and what stays frozen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from kd.catalog import load
from kd.errors import CheckpointError, SpecError
from kd.models import trained_weights
from kd.models.fused import fused_resnet152, fused_swin_t, fused_vit_b16
from kd.models.resnet import resnet152
from kd.models.weight_files import ForeignWeights
from kd.vision_libraries import import_vision


class Teacher(NamedTuple):
    """A fused teacher: torchvision's name, its parameters for 2 labels and 4 channels of 224 pixels, and which train.

    ``frozen`` are the parts of each branch that keep published weights, ``file`` is what torchvision calls these.
    """

    network: str
    parameters: int
    trainable: int
    frozen: tuple[str, ...]
    file: str


EARLY_BLOCKS = ("stem", "block0", "block1", "block2", "block3", "block4")
TEACHERS = {
    "fused_resnet152": Teacher(
        "resnet152", 103_418_882, 98_294_786, ("conv1", "bn1", "layer1", "layer2"), "resnet152-394f9c45"
    ),
    "fused_efficientnet_b7": Teacher(
        "efficientnet_b7", 126_754_210, 102_115_698, EARLY_BLOCKS, "efficientnet_b7_lukemelas-c5b4e57e"
    ),
    "fused_vit_b16": Teacher("vit_b_16", 86_149_634, 42_530_306, ("embedding",), "vit_b_16-c867db91"),
    "fused_swin_t": Teacher("swin_t", 28_787_582, 26_398_970, ("stage0", "stage1"), "swin_t-704ceda3"),
}


def without_file(monkeypatch: pytest.MonkeyPatch, weights: Mapping[str, Tensor]) -> None:
    """Let ``pretrained: FILE`` find these weights, which are too large to write in a test."""
    monkeypatch.setattr(trained_weights, "read_foreign_weights", lambda path: ForeignWeights(dict(weights), ()))


def theirs(name: str, classes: int, **arguments: object) -> nn.Module:
    network: nn.Module = import_vision("torchvision.models").get_model(
        TEACHERS[name].network, num_classes=classes, **arguments
    )
    return network


@pytest.mark.parametrize("name", TEACHERS)
def test_parameters_in_all_and_those_that_train_beside_published_weights(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        without_file(monkeypatch, theirs(name, 1000).state_dict())
        model = load("model", name)(2, 4, 224, pretrained="file")
    counted = {path: parameter.numel() for path, parameter in model.named_parameters()}
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert (sum(counted.values()), trainable) == (TEACHERS[name].parameters, TEACHERS[name].trainable)
    frozen = {path for path, parameter in model.named_parameters() if not parameter.requires_grad}
    early = tuple(f"{branch}.{part}." for branch in ("rgb", "ir") for part in TEACHERS[name].frozen)
    late = ("shared.stage1.", "shared.stage2.") if name == "fused_vit_b16" else ()
    assert frozen == {path for path in counted if path.startswith((*early, *late))}


@pytest.mark.parametrize("name", TEACHERS)
def test_a_grey_scene_in_both_modalities_gives_what_the_published_network_gives(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both branches hold the published weights, the fusion starts as an average, and twice the tokens attend alike."""
    torch.manual_seed(0)
    grey = torch.randn(2, 1, 64, 64)
    network = theirs(name, 7, **({"image_size": 64} if name == "fused_vit_b16" else {})).eval()
    *_, classifier = (module for module in network.modules() if isinstance(module, nn.Linear))
    nn.init.normal_(classifier.weight)  # torchvision's ViT begins with zeros there
    without_file(monkeypatch, network.state_dict())
    fused = load("model", name)(7, 4, 64, pretrained="file").eval()
    with torch.inference_mode():
        expected, found = network(grey.expand(-1, 3, -1, -1)), fused(grey.expand(-1, 4, -1, -1))
    scale = expected.std()  # fresh weights give answers of any size
    torch.testing.assert_close(found / scale, expected / scale, rtol=1e-3, atol=1e-3)


def test_batch_norms_of_frozen_parts_keep_their_statistics_and_those_of_the_rest_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with torch.device("meta"):
        without_file(monkeypatch, resnet152(7, 3, 32, stem="imagenet").state_dict())
        model = fused_resnet152(7, 4, 32, pretrained="file")
    model.eval().train()
    learning = {
        name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d) and module.training
    }
    assert {".".join(name.split(".")[:2]) for name in learning} == {"rgb.layer3", "ir.layer3", "shared.layer4"}


@pytest.mark.parametrize("arguments", [{}, {"freeze": True}])
def test_a_teacher_from_scratch_trains_as_a_whole(arguments: dict[str, bool]) -> None:
    with torch.device("meta"):
        model = fused_swin_t(2, 4, 32, **arguments)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_published_weights_may_train_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        without_file(monkeypatch, theirs("fused_swin_t", 1000).state_dict())
        model = fused_swin_t(2, 4, 32, pretrained="file", freeze=False)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("channels", [1, 3])
def test_infrared_of_one_channel_sums_over_the_colours_and_of_three_takes_them(channels: int) -> None:
    model = fused_swin_t(2, 3 + channels, 32)
    colours, infrared = model.rgb.stage0[0][0].weight, model.ir.stage0[0][0].weight
    assert torch.equal(infrared, colours.sum(1, keepdim=True) if channels == 1 else colours)
    assert infrared.data_ptr() != colours.data_ptr()


def test_both_modalities_change_the_answer() -> None:
    torch.manual_seed(0)
    model, images = fused_swin_t(2, 4, 32).eval(), torch.randn(1, 4, 32, 32)
    with torch.inference_mode():
        answer = model(images)
        for channel in range(4):
            other = images.clone()
            other[:, channel] += 1
            assert not torch.allclose(model(other), answer), channel


def test_a_transformer_sees_394_tokens_at_224_pixels_and_resamples_published_positions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = theirs("fused_vit_b16", 7, image_size=64)
    without_file(monkeypatch, network.state_dict())
    model = fused_vit_b16(7, 6, 224, pretrained="file").eval()
    tokens: list[Tensor] = []
    model.fusion.register_forward_hook(lambda module, given, output: tokens.append(output))
    with torch.inference_mode():
        model(torch.randn(1, 6, 224, 224))
    assert tokens[0].shape == (1, 394, 768)
    own, published_ones = model.ir.embedding.positions, network.encoder.pos_embedding
    assert torch.equal(own[:, 0], published_ones[:, 0])
    torch.testing.assert_close(own[:, [1, 14, -14, -1]], published_ones[:, [1, 4, -4, -1]])  # the corners


def test_images_that_do_not_fit_are_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="sees RGB and IR, 4 channels or more; these images have 3"):
        fused_swin_t(2, 3, 32)
    with pytest.raises(SpecError, match="patches of 16 pixels do not tile an image of 40"):
        fused_vit_b16(2, 4, 40)


@pytest.mark.parametrize("name", TEACHERS)
def test_a_missing_file_is_named_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with torch.device("meta"), pytest.raises(CheckpointError, match=rf"there is no \S+/{TEACHERS[name].file}\.pth"):
        load("model", name)(2, 4, 224, pretrained=True)


def test_weights_of_another_network_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        without_file(monkeypatch, theirs("fused_swin_t", 2).state_dict())
        with pytest.raises(CheckpointError, match="these weights are of another network") as error:
            fused_vit_b16(2, 4, 224, pretrained="file")
    assert "\n" not in str(error.value)
