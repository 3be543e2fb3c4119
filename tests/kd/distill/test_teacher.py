"""The live teacher: frozen, in evaluation mode, on its own normalisation, checked when loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kd.distill.teacher import LiveTeacher, load_trained_model
from kd.errors import CheckpointError
from kd.losses.logit import kd
from kd.train.step import Batch
from kd.train.weights import ModelCard, save_weights

CARD = ModelCard(
    name="resnet8",
    arguments={"width": 4},
    classes=("cat", "dog", "owl"),
    in_channels=3,
    image_size=8,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 0.3),
)
OWN = replace(CARD, mean=(0.1, 0.6, 0.5), std=(0.5, 0.1, 0.2))


def batch(images: torch.Tensor) -> Batch:
    size = len(images)
    return Batch(images=images, labels=torch.zeros(size).long(), indices=torch.arange(size), view=0)


def normalised(pixels: torch.Tensor, card: ModelCard) -> torch.Tensor:
    return (pixels - torch.tensor(card.mean).view(3, 1, 1)) / torch.tensor(card.std).view(3, 1, 1)


def test_the_teacher_sees_the_same_pixels_under_its_own_normalisation() -> None:
    model = CARD.build().eval()
    pixels = torch.rand(4, 3, 8, 8)
    teacher = LiveTeacher(model, own=OWN, student=CARD)
    given = teacher(batch(normalised(pixels, CARD)))
    expected = model(normalised(pixels, OWN)).detach()
    torch.testing.assert_close(given["teacher_logits_BC"], expected, rtol=1e-4, atol=1e-5)


def test_a_teacher_of_some_modalities_is_given_these_of_the_privileged_images() -> None:
    shown = replace(
        CARD, in_channels=4, mean=(*CARD.mean, 0.7), std=(*CARD.std, 0.1), modalities=(("rgb", 3), ("ir", 1))
    )
    own = replace(CARD, in_channels=1, mean=(0.2,), std=(0.4,), modalities=(("ir", 1),))
    model = own.build().eval()
    pixels = torch.rand(4, 4, 8, 8)
    whole = (pixels - torch.tensor(shown.mean).view(4, 1, 1)) / torch.tensor(shown.std).view(4, 1, 1)
    given = LiveTeacher(model, own=own, student=shown)(replace(batch(whole[:, :3]), privileged=whole))
    expected = model((pixels[:, 3:] - 0.2) / 0.4).detach()
    torch.testing.assert_close(given["teacher_logits_BC"], expected, rtol=1e-3, atol=1e-4)


def test_a_teacher_that_sees_what_the_images_have_not_is_refused(tmp_path: Path) -> None:
    own = replace(CARD, in_channels=4, mean=(0.5,) * 4, std=(0.5,) * 4, modalities=(("rgb", 3), ("ir", 1)))
    save_weights(tmp_path / "it.safetensors", own.build().state_dict(), own)
    with pytest.raises(CheckpointError, match=r"trained for modalities 2 \(rgb, ir\), the student has 1 \(rgb\)"):
        load_trained_model(tmp_path / "it.safetensors", student=replace(CARD, modalities=(("rgb", 3),)))
    with pytest.raises(CheckpointError, match="multi_label False, the student has True"):
        load_trained_model(tmp_path / "it.safetensors", student=replace(own, multi_label=True))


def test_the_teacher_is_frozen_in_evaluation_mode_and_changes_nothing() -> None:
    model = CARD.build().train()
    teacher = LiveTeacher(model, own=CARD, student=CARD)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = 3 * torch.randn(4, 3, 8, 8) + 1
    first = teacher(batch(images))["teacher_logits_BC"]
    alone = teacher(batch(images[:1]))["teacher_logits_BC"]
    torch.testing.assert_close(first[:1], alone, rtol=1e-4, atol=1e-5)  # no batch statistics
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_loss_can_differentiate_against_what_the_teacher_gives() -> None:
    teacher = LiveTeacher(CARD.build(), own=CARD, student=CARD, features=True)
    given = teacher(batch(torch.randn(4, 3, 8, 8)))
    student = torch.randn(4, 3, requires_grad=True)
    kd(student, given["teacher_logits_BC"]).backward()
    assert student.grad.abs().sum() > 0
    feature = torch.randn(given["teacher_features"]["pooled"].shape, requires_grad=True)
    (feature * given["teacher_features"]["pooled"]).sum().backward()
    assert torch.equal(feature.grad, given["teacher_features"]["pooled"])


def test_a_teacher_comes_back_from_its_weights_alone(tmp_path: Path) -> None:
    model = OWN.build()
    save_weights(tmp_path / "best.safetensors", model.state_dict(), OWN)
    loaded, card = load_trained_model(tmp_path / "best.safetensors", student=CARD)
    assert card == OWN
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("cat", "dog", "eel")}, "classes"),
        ({"in_channels": 1, "mean": (0.5,), "std": (0.5,)}, "in_channels 3, the student has 1"),
        ({"image_size": 16}, "image_size 8, the student has 16"),
    ],
)
def test_a_teacher_of_other_data_is_refused_in_one_line(tmp_path: Path, change: dict, words: str) -> None:
    save_weights(tmp_path / "best.safetensors", CARD.build().state_dict(), CARD)
    with pytest.raises(CheckpointError, match=words) as error:
        load_trained_model(tmp_path / "best.safetensors", student=replace(CARD, **change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["resnet8", "mobilenet_v2", "vit6"])
def test_weights_are_cast_once_and_say_the_same_bits(name: str) -> None:
    card = replace(CARD, name=name, arguments={}, image_size=32)
    torch.manual_seed(1)
    network = card.build().eval()
    images = torch.randn(4, 3, 32, 32)

    def half() -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16)

    with torch.inference_mode(), half():
        expected = network(images).float()
    teacher = LiveTeacher(network, own=card, student=card, autocast=half)
    assert torch.equal(teacher(batch(images))["teacher_logits_BC"], expected)
    kinds = {type(module): module.weight.dtype for module in network.modules() if hasattr(module, "weight")}
    assert kinds[torch.nn.Linear] == torch.bfloat16
    assert all(dtype == torch.float32 for kind, dtype in kinds.items() if "Norm" in kind.__name__)
