"""The modules that losses own."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from kd.errors import SpecError
from kd.losses.adapters import GaussianRegressors, LearnedTemperature, MaskedGeneration, Regressors
from kd.losses.channels import fsp
from kd.losses.contrastive_memory import ContrastiveMemory
from kd.losses.feature import crd, fitnet, vid
from tests.kd.losses.conftest import IMAGES, STUDENT_MAPS, TEACHER_MAPS, build

LABELS = torch.tensor([0, 2, 2, 0, 3, 2, 0, 2, 3, 0])  # class 1 has no images


@pytest.fixture
def memory() -> ContrastiveMemory:
    torch.manual_seed(0)
    return ContrastiveMemory(4, 6, LABELS)


@pytest.mark.parametrize(("arguments", "stages"), [({}, [1]), ({"stages": [3]}, [2]), ({"stages": [1, 3]}, [0, 2])])
def test_fitnet_gets_a_regressor_per_chosen_stage_of_the_shapes_that_were_seen(given, arguments, stages) -> None:
    regressors = build("fitnet", given(), arguments)
    assert [(convolution.in_channels, convolution.out_channels) for convolution, _ in regressors] == [
        (STUDENT_MAPS[stage][0], TEACHER_MAPS[stage][0]) for stage in stages
    ]


def test_networks_of_different_depth_get_one_regressor_for_their_last_stages(given) -> None:
    it = given()
    it["student_maps"] = it["student_maps"][:2]
    ((convolution, _),) = build("fitnet", it, {})
    assert (convolution.in_channels, convolution.out_channels) == (STUDENT_MAPS[1][0], TEACHER_MAPS[2][0])


def test_fitnet_is_zero_where_the_regressor_predicts_the_teacher() -> None:
    maps = [torch.randn(2, 3, 4, 4)]
    regressors = Regressors([(3, 3)]).eval()
    with torch.no_grad():
        regressors[0][0].weight.copy_(torch.eye(3)[:, :, None, None])
    assert fitnet(maps, maps, regressors).item() == pytest.approx(0, abs=1e-9)


def test_fitnet_at_its_published_weight_and_learning_rate_learns_instead_of_diverging() -> None:
    torch.manual_seed(0)
    student, teacher = ([3 * torch.randn(64, 32, 4, 4).relu()] for _ in range(2))
    regressors = Regressors([(32, 32)])
    optimizer = torch.optim.SGD(regressors.parameters(), lr=0.05, momentum=0.9)
    before = fitnet(student, teacher, regressors).item()
    for _ in range(50):
        optimizer.zero_grad()
        (100 * fitnet(student, teacher, regressors)).backward()
        optimizer.step()
    assert fitnet(student, teacher, regressors).item() < before


def test_vid_starts_at_a_variance_of_5_and_gains_by_the_right_one() -> None:
    torch.manual_seed(0)
    student, teacher = [torch.randn(8, 3, 4, 4)], [0.1 * torch.randn(8, 5, 4, 4)]
    adapter = GaussianRegressors([(3, 5)])
    ((mean, variance),) = adapter(student)
    torch.testing.assert_close(variance, torch.full((5, 1, 1), 5.0))
    at_first = vid(student, teacher, adapter).item()
    for right in (2.0, 1.0, 0.5):  # of the squared errors
        spread = right * (mean - teacher[0]).detach().square().mean((0, 2, 3))
        with torch.no_grad():
            adapter.scales[0].copy_((spread - adapter.least_variance).expm1().log())
        losses = vid(student, teacher, adapter).item()
        assert losses < at_first
        if right == 1.0:
            best = losses
    assert best < losses


def test_negatives_are_of_other_classes_and_all_of_them_come_up_equally_often(memory) -> None:
    drawn = memory.draw(torch.arange(10), 20_000)
    for anchor, images in enumerate(drawn):
        counts = torch.bincount(images, minlength=10)
        others = LABELS[anchor] != LABELS
        assert counts[~others].sum() == 0
        expected = 20_000 / int(others.sum())
        assert (counts[others] - expected).abs().max() < 6 * math.sqrt(expected)


def test_every_batch_draws_others_whatever_else_was_drawn(memory) -> None:
    images, features = torch.arange(3), torch.zeros(3, memory.width)
    first = memory.draw(images, 50)
    torch.rand(7)
    assert torch.equal(memory.draw(images, 50), first)
    memory.remember(images, features, features, momentum=1.0)
    assert not torch.equal(memory.draw(images, 50), first)


def test_the_memory_moves_by_the_momentum_and_stays_on_the_unit_sphere(memory) -> None:
    before = memory.student_bank.clone()
    embeddings = torch.nn.functional.normalize(torch.randn(2, memory.width), dim=1)
    memory.remember(torch.tensor([7, 2]), embeddings, embeddings, momentum=0.25)
    for image, row in ((7, 0), (2, 1)):
        moved = 0.25 * before[image] + 0.75 * embeddings[row]
        torch.testing.assert_close(memory.student_bank[image], moved / moved.norm())
    untouched = [0, 1, 3, 4, 5, 6, 8, 9]
    assert torch.equal(memory.student_bank[untouched], before[untouched])


def test_the_normalisers_are_fixed_by_the_first_batch(memory) -> None:
    batch = torch.randn(3, 4), torch.randn(3, 6), torch.arange(3)
    crd(*batch, memory, negatives=5)
    fixed = memory.log_normalisers.clone()
    assert fixed.isfinite().all()
    crd(10 * torch.randn(3, 4), torch.randn(3, 6), torch.arange(3), memory, negatives=5)
    assert torch.equal(memory.log_normalisers, fixed)


def test_training_with_crd_makes_the_student_recognise_its_teacher(memory) -> None:
    torch.manual_seed(1)
    teacher, student = torch.randn(10, 6), torch.randn(10, 4)
    optimizer = torch.optim.Adam(memory.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = crd(student, teacher, torch.arange(10), memory, negatives=32)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    own = (memory.embed(student, teacher)[0] * memory.teacher_bank).sum(1)
    others = memory.embed(student, teacher)[0] @ memory.teacher_bank.T
    assert own.mean() > others.mean() + 0.3


def test_what_a_memory_saves_is_its_banks_and_what_follows_from_the_labels_is_not(memory) -> None:
    batch = torch.randn(3, 4), torch.randn(3, 6), torch.arange(3)
    crd(*batch, memory, negatives=5)
    saved = copy.deepcopy(memory.state_dict())
    assert sorted(name for name in saved if "embed" not in name) == [
        "_extra_state", "log_normalisers", "student_bank", "teacher_bank",
    ]  # fmt: skip
    torch.manual_seed(9)
    fresh = ContrastiveMemory(4, 6, LABELS)
    fresh.load_state_dict(saved)
    for _ in range(3):
        assert torch.equal(crd(*batch, fresh, negatives=5), crd(*batch, memory, negatives=5))


def test_images_of_a_single_class_cannot_be_contrasted() -> None:
    with pytest.raises(SpecError, match="at least two classes"):
        ContrastiveMemory(4, 6, torch.zeros(IMAGES).long())


def test_a_learned_temperature_climbs_where_a_student_descends() -> None:
    temperature = LearnedTemperature()
    for harder in (0.0, 0.25, 1.0):
        (gradient,) = torch.autograd.grad(temperature(harder).square(), temperature.number)
        assert gradient.item() == pytest.approx(-harder * 2 * temperature.number.item())
    assert temperature(0.7).item() == temperature.number.item()


def test_a_mask_blanks_the_share_that_was_asked_for_and_goes_on_after_a_resume() -> None:
    torch.manual_seed(0)
    generation, maps = MaskedGeneration([(64, 64)]), torch.ones(200, 64, 2, 2)
    mask = generation.mask(maps, 0.3)
    assert (mask == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert torch.equal(generation.mask(maps, 0.3), mask)
    generation([maps], 0.3)
    second = generation.mask(maps, 0.3)
    assert not torch.equal(second, mask)
    torch.manual_seed(1)
    resumed = MaskedGeneration([(64, 64)])
    resumed.load_state_dict(generation.state_dict())
    assert torch.equal(resumed.mask(maps, 0.3), second)


def test_the_margins_of_ofd_are_the_means_below_zero() -> None:
    torch.manual_seed(0)
    scales, offsets = torch.tensor([1.0, -0.5, 2.0, 0.1]), torch.tensor([0.0, -1.0, 3.0, 5.0])
    connectors = build("ofd", {
        "student_preactivations": [torch.zeros(1, 2, 4, 4)],
        "teacher_preactivations": [torch.zeros(1, 4, 4, 4)],
        "teacher_norms": [(scales, offsets)],
    }, {})  # fmt: skip
    (margin,) = connectors.margins
    values = scales * torch.randn(2_000_000, 4) + offsets
    for channel in range(3):
        below = values[:, channel][values[:, channel] < 0]
        assert margin[channel].item() == pytest.approx(below.mean().item(), abs=0.01)
    assert margin[3].item() == pytest.approx(-0.3)
    assert not [name for name in connectors.state_dict() if "margin" in name]


def test_ofd_needs_a_batch_norm_before_the_teachers_activations() -> None:
    maps = [torch.zeros(1, 2, 4, 4)]
    with pytest.raises(SpecError, match="needs batch norms before the teacher's activations"):
        build("ofd", {"student_preactivations": maps, "teacher_preactivations": maps, "teacher_norms": [None]}, {})


def test_fsp_is_refused_for_networks_of_unequal_widths() -> None:
    ours, theirs = ([torch.zeros(1, width, 4, 4)] * 2 for width in (2, 3))
    with pytest.raises(SpecError, match="equally many channels"):
        fsp(ours, theirs)
