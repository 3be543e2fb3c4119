"""What the papers' settings give on fixed outputs: a change of any of these numbers changes what a loss means."""

from __future__ import annotations

import pytest

from kd.losses.presets import PRESETS, Preset

PINNED: dict[str, float] = {
    "kd: CIFAR-100": 7.832109055976494,
    "kd: ImageNet, resnet34 to resnet18": 5.573576167022759,
    "binary_kd: several labels: an RGB student of RGB and infrared teachers": 2.4698828208579053,
    "dkd: CIFAR-100, resnet56 to resnet20, resnet110 to resnet32": 10.29971386794782,
    "dkd: CIFAR-100, wrn40_2 to wrn16_2 or wrn40_1, vgg13 to vgg8": 15.909432129191313,
    "dkd: CIFAR-100, resnet32x4 to resnet8x4": 18.71429125981306,
    "dkd: CIFAR-100, vgg13 to mobilenet_v2_half (learning rate 0.01)": 15.909432129191313,
    "dkd: CIFAR-100, resnet32x4 to shufflenet_v1 or shufflenet_v2, resnet50 to mobilenet_v2_half": 18.71429125981306,
    "dkd: ImageNet, resnet34 to resnet18": 9.55920780739274,
    "dist: CIFAR-100": 71.32738683709223,
    "dist: ImageNet": 10.954161802894802,
    "kd_standardised: CIFAR-100": 7.548350530212769,
    "nkd: ImageNet, resnet34 to resnet18": 13.68281605012952,
    "dkd: with standardised logits: CIFAR-100, resnet32x4 to resnet8x4": 16.649775937411526,
    "ctkd: CIFAR-100": 8.714640159795323,
    "normkd: CIFAR-100": 9.110644337564414,
    "wttm: CIFAR-100": 14.60627921402485,
    "wsld: ImageNet, resnet34 to resnet18": 25.94618839288913,
    "mlkd: CIFAR-100": 348.10293353348396,
    "ofa: CIFAR-100, students and teachers of different kinds": 11.883719401523285,
    "tfkd: CIFAR-100, resnet18 without a teacher": 6.710614453658044,
    "hard_kd: ImageNet, a transformer of a convolutional teacher": 6.13556419355897,
    "fitnet: CIFAR-100": 1060.831634846845,
    "at: CIFAR-100": 125.57558511251919,
    "sp: CIFAR-100": 82.88542531326405,
    "rkd: CIFAR-100": 10.188934416740487,
    "pkt: CIFAR-100, batches of 64": 48.31095421098237,
    "vid: CIFAR-100": 11.61795645922015,
    "crd: CIFAR-100": 25.043720455526575,
    "ofd: CIFAR-100": 7.963963257328121,
    "ofd: ImageNet": 7.246301586671318,
    "ab: CIFAR-100, in a stage of its own from which the student then starts": 0.8727627494520721,
    "ickd: CIFAR-100": 9.957387036012575,
    "mgd: ImageNet, resnet34 to resnet18": 7.172244562520919,
    "srd: ImageNet, resnet34 to resnet18": 23.741154288000164,
    "ft: CIFAR-100": 82.02896675618472,
    "semckd: CIFAR-100": 2543.7803681338264,
    "nst: CIFAR-100": 54.93057625963457,
    "cc: CIFAR-100": 17.637310066388107,
    "fsp: CIFAR-100, equal widths, in a stage of its own from which the student then starts": 618.5801134523361,
    "review: CIFAR-100, resnet56 to resnet20": 9.78218310949116,
    "review: CIFAR-100, resnet110 to resnet32": 11.525930915123414,
    "review: CIFAR-100, wrn40_2 to wrn16_2 or wrn40_1, resnet32x4 to resnet8x4": 28.963408971445936,
}


def named(preset: Preset) -> str:
    return f"{preset.loss}: {preset.setting}"


def value(make_loss, given, preset: Preset) -> float:
    """Return the weighted sum of a preset's terms, in epoch 3, in float64."""
    total = 0.0
    for name, term in preset.terms.items():
        arguments = dict(term) if isinstance(term, dict) else {"weight": term}
        weight = arguments.pop("weight")
        it = given(batch=6)
        total += weight * make_loss(name, it, **arguments)(it).item()
    return total


@pytest.mark.parametrize("preset", PRESETS, ids=named)
def test_the_value_of_a_preset(make_loss, given, preset: Preset) -> None:
    assert value(make_loss, given, preset) == pytest.approx(PINNED[named(preset)], rel=1e-9)


def test_every_preset_is_pinned_and_no_other() -> None:
    assert list(PINNED) == [named(preset) for preset in PRESETS]
