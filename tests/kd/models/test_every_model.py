"""What holds for every model of the catalogue: its size, its gradients, its taps, its way to disk and back.

A model that SIZES does not know, or docs/models.md does not list, fails here.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from kd.catalog import entries, find, load
from kd.distill.features import FeatureTaps
from kd.train.weights import ModelCard, load_model, save_weights

REPOSITORY = Path(__file__).resolve().parents[3]
CLASSES = 43  # odd, and not a multiple of anything that a network may assume
BATCH = 2
DEEP = 20_000_000  # parameters; networks beyond are deeper or wider siblings of others here, and slow to write


class Size(NamedTuple):
    """Parameters at 10 classes, and the images that they are counted for."""

    parameters: int
    channels: int = 3
    size: int = 32


SIZES = {
    "airbench94": Size(1_972_792),
    "convnet": Size(57_130),
    "depthwise_mnist": Size(273_674, 1, 28),
    "depthwise_mnist_400k": Size(411_402, 1, 28),
    "fused_efficientnet_b7": Size(126_774_698, 4, 64),
    "fused_resnet152": Size(103_435_274, 4, 64),
    "fused_swin_t": Size(28_793_734, 4, 64),
    "fused_vit_b16": Size(85_879_306, 4, 64),
    "mobilenet_v2": Size(2_236_682),
    "mobilenet_v2_half": Size(697_546),
    "resnet8": Size(4_903_242),
    "resnet18": Size(11_173_962),
    "resnet34": Size(21_282_122),
    "resnet50": Size(23_520_842),
    "resnet101": Size(42_512_970),
    "resnet152": Size(58_156_618),
    "resnet8_cifar": Size(78_042),
    "resnet8x4": Size(1_210_410),
    "resnet14": Size(175_258),
    "resnet20": Size(272_474),
    "resnet32": Size(466_906),
    "resnet32x4": Size(7_410_730),
    "resnet44": Size(661_338),
    "resnet56": Size(855_770),
    "resnet110": Size(1_730_714),
    "resnet18_mnist": Size(11_172_810, 1, 28),
    "resnet18_mnist_4m": Size(4_252_618, 1, 28),
    "shufflenet_v1": Size(862_768),
    "shufflenet_v2": Size(1_263_278),
    "simplecnn_mnist": Size(130_890, 1, 28),
    "simplecnn_mnist_50k": Size(49_938, 1, 28),
    "student_cnn": Size(1_557_066, 3, 224),
    "vgg8": Size(3_918_858),
    "vgg11": Size(9_231_114),
    "vgg13": Size(9_416_010),
    "vgg16": Size(14_728_266),
    "vgg19": Size(20_040_522),
    "vit6": Size(2_693_578),
    "vit_small": Size(21_342_346),
    "vit_tiny": Size(5_362_762),
    "wrn16_1": Size(175_066),
    "wrn16_2": Size(691_674),
    "wrn28_10": Size(36_479_194),
    "wrn40_1": Size(563_930),
    "wrn40_2": Size(2_243_546),
}

# Sizes with other arguments, known from elsewhere: torchvision and timm for ImageNet, the published tables of
# distillation on CIFAR-100, the corrected sums of the MNIST plan. (name, arguments, inputs) -> parameters
IMAGENET, CIFAR100, MNIST = (1000, 3, 224), (100, 3, 32), (10, 1, 28)
KNOWN = [
    ("resnet18", {"stem": "imagenet"}, IMAGENET, 11_689_512),
    ("resnet34", {"stem": "imagenet"}, IMAGENET, 21_797_672),
    ("resnet50", {"stem": "imagenet"}, IMAGENET, 25_557_032),
    ("resnet101", {"stem": "imagenet"}, IMAGENET, 44_549_160),
    ("resnet152", {"stem": "imagenet"}, IMAGENET, 60_192_808),
    ("mobilenet_v2", {"stem": "imagenet"}, IMAGENET, 3_504_872),
    ("vit_tiny", {}, IMAGENET, 5_717_416),
    ("vit_small", {}, IMAGENET, 22_050_664),
    ("resnet14", {}, CIFAR100, 181_108),
    ("resnet20", {}, CIFAR100, 278_324),
    ("resnet32", {}, CIFAR100, 472_756),
    ("resnet56", {}, CIFAR100, 861_620),
    ("resnet110", {}, CIFAR100, 1_736_564),
    ("resnet8x4", {}, CIFAR100, 1_233_540),
    ("resnet32x4", {}, CIFAR100, 7_433_860),
    ("wrn16_1", {}, CIFAR100, 180_916),
    ("wrn16_2", {}, CIFAR100, 703_284),
    ("wrn40_1", {}, CIFAR100, 569_780),
    ("wrn40_2", {}, CIFAR100, 2_255_156),
    ("vgg8", {}, CIFAR100, 3_965_028),
    ("vgg11", {}, CIFAR100, 9_277_284),
    ("vgg13", {}, CIFAR100, 9_462_180),
    ("vgg16", {}, CIFAR100, 14_774_436),
    ("vgg19", {}, CIFAR100, 20_086_692),
    ("mobilenet_v2_half", {}, CIFAR100, 812_836),
    ("shufflenet_v1", {}, CIFAR100, 949_258),
    ("shufflenet_v2", {}, CIFAR100, 1_355_528),
    ("resnet18_mnist", {"width": 25}, MNIST, 1_708_485),
    ("depthwise_mnist", {"width": 24}, MNIST, 157_258),
    ("depthwise_mnist", {"width": 16}, MNIST, 72_842),
    ("simplecnn_mnist", {"batch_norm": True}, MNIST, 131_210),
    ("vit_tiny", {}, (10, 3, 224), 5_526_346),
    ("vit6", {"patch": 8}, (10, 3, 32), 2_712_010),
    ("vit6", {}, (10, 3, 224), 2_857_162),
]


def count(name: str, *inputs: int, **arguments: object) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in load("model", name)(*inputs, **arguments).parameters())


def images(size: Size, batch: int = BATCH) -> Tensor:
    return torch.randn(batch, size.channels, size.size, size.size, generator=torch.Generator().manual_seed(batch))


class Made(NamedTuple):
    """One model of the catalogue with CLASSES classes, built once for the tests of this file."""

    name: str
    network: nn.Module
    size: Size


@pytest.fixture(scope="module", params=SIZES)
def made(request: pytest.FixtureRequest) -> Made:
    torch.manual_seed(0)
    size = SIZES[request.param]
    return Made(request.param, load("model", request.param)(CLASSES, size.channels, size.size), size)


def test_every_model_of_the_catalogue_is_in_the_table() -> None:
    assert set(entries("model")) == set(SIZES)


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_the_size_at_ten_classes(name: str, size: Size) -> None:
    assert count(name, 10, size.channels, size.size) == size.parameters


@pytest.mark.parametrize(("name", "arguments", "inputs", "parameters"), KNOWN)
def test_sizes_known_from_elsewhere(name: str, arguments: dict, inputs: tuple[int, ...], parameters: int) -> None:
    assert count(name, *inputs, **arguments) == parameters


def test_the_page_on_models_lists_every_one_with_its_size() -> None:
    page = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| (\d+)×(\d+) \|", page, flags=re.MULTILINE)
    listed = {name: Size(int(total.replace(",", "")), int(channels), int(size)) for name, total, channels, size in rows}
    assert len(rows) == len(listed)
    assert listed == SIZES


def test_logits_gradients_and_taps(made: Made) -> None:
    """One training step: a column per class, a finite gradient everywhere, taps that nothing overwrote."""
    model = made.network.train()
    kept: dict[str, tuple[Tensor, Tensor]] = {}

    def keep(name: str, output: Tensor) -> None:
        kept[name] = (output, output.detach().clone())

    hooks = [
        model.get_submodule(path).register_forward_hook(lambda module, given, output, name=name: keep(name, output))
        for name, path in model.feature_taps.items()
    ]
    logits = model(images(made.size))
    assert logits.shape == (BATCH, CLASSES)
    nn.functional.cross_entropy(logits, torch.arange(BATCH)).backward()
    for hook in hooks:
        hook.remove()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None or not parameter.requires_grad, name
        assert parameter.grad.isfinite().all(), name
    assert next(model.parameters()).grad.abs().sum() > 0
    model.zero_grad(set_to_none=True)
    assert set(kept) == set(model.feature_taps)
    for name, (output, at_once) in kept.items():
        assert torch.equal(output, at_once), f"{name} was overwritten after it was tapped"


def test_evaluation_is_deterministic_and_taps_have_one_shape_per_image(made: Made) -> None:
    """Maps come early to late and never grow; another batch changes neither logits nor shapes."""
    model, batch = made.network.eval(), images(made.size)
    taps = FeatureTaps(model)
    with torch.inference_mode():
        together, features = model(batch), taps.collect()
        assert torch.equal(together, model(batch))
        torch.testing.assert_close(model(batch[1:]), together[1:], rtol=1e-3, atol=1e-4)
    shapes = {name: tuple(feature.shape[1:]) for name, feature in features.items()}
    assert shapes == {name: tuple(feature.shape[1:]) for name, feature in taps.collect().items()}
    taps.remove()
    *stages, pooled = model.feature_taps
    assert len(stages) >= 3
    assert [*stages, pooled] == [*(f"stage{number}" for number in range(1, len(stages) + 1)), "pooled"]
    assert [len(shapes[name]) for name in stages] == [3] * len(stages)
    sides = [shapes[name][1] for name in stages]
    assert sides == sorted(sides, reverse=True)
    assert len(shapes["pooled"]) == 1


@pytest.mark.parametrize("made", [name for name, size in SIZES.items() if size.parameters < DEEP], indirect=True)
def test_weights_go_to_disk_and_back(made: Made, tmp_path: Path) -> None:
    card = ModelCard(
        name=made.name,
        arguments={},
        classes=tuple(map(str, range(CLASSES))),
        in_channels=made.size.channels,
        image_size=made.size.size,
        mean=(0.5,) * made.size.channels,
        std=(0.25,) * made.size.channels,
    )
    path = tmp_path / "weights.safetensors"
    save_weights(path, made.network.state_dict(), card)
    loaded, _ = load_model(path)
    path.unlink()
    pairs = zip(made.network.state_dict().items(), loaded.state_dict().items(), strict=True)
    for (name, saved), (again, read) in pairs:
        assert name == again
        assert torch.equal(saved, read), name


@pytest.mark.parametrize(
    "name",
    [
        "convnet",
        "depthwise_mnist",
        "fused_vit_b16",
        "mobilenet_v2",
        "mobilenet_v2_half",
        "resnet20",
        "shufflenet_v1",
        "shufflenet_v2",
        "simplecnn_mnist",
        "vgg8",
        "vit6",
        "wrn16_2",
    ],
)
def test_one_network_per_file_trains_in_bfloat16_with_channels_last(name: str) -> None:
    size = SIZES[name]
    torch.manual_seed(0)
    model = load("model", name)(CLASSES, size.channels, size.size).to(memory_format=torch.channels_last)
    batch = images(size).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch)
    logits.float().square().mean().backward()
    assert logits.dtype == torch.bfloat16
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_small_networks_load_neither_torchvision_nor_timm() -> None:
    program = """
import sys
from kd.catalog import load
for name in sys.argv[1:]:
    load("model", name)(10, 3, 32)
sys.exit(not {"torchvision", "timm"}.isdisjoint(sys.modules))
"""
    names = ["resnet8", "mobilenet_v2", "resnet20", "convnet", "simplecnn_mnist"]
    answer = subprocess.run([sys.executable, "-c", program, *names], cwd=REPOSITORY, check=False)
    assert answer.returncode == 0


def test_every_summary_is_one_sentence() -> None:
    for name in SIZES:
        entry = find("model", name)
        assert entry is not None
        assert re.fullmatch(r"[A-Z].{20,}\.", entry.summary), name
        assert entry.inputs == ("num_classes", "in_channels", "image_size"), name
