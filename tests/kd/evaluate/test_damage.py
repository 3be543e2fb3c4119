"""A missing or noisy modality: only its channels change, and as said."""

from __future__ import annotations

import torch

from kd.evaluate.damage import damages

MODALITIES = (("rgb", 3), ("ir", 1))
MEAN, DEVIATION = (0.1, 0.2, 0.3, 0.4), (1.0, 1.0, 1.0, 5.0)
IMAGES = torch.randn(40, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def test_a_missing_modality_is_at_its_mean_and_the_other_as_it_was() -> None:
    before = IMAGES.clone()
    found = damages(MODALITIES, MEAN, DEVIATION)
    assert list(found) == ["without rgb", "noisy rgb", "without ir", "noisy ir"]
    changed = found["without rgb"](IMAGES)
    torch.testing.assert_close(changed[:, :3], torch.tensor(MEAN[:3])[:, None, None].expand(40, 3, 8, 8))
    assert torch.equal(changed[:, 3], IMAGES[:, 3])
    assert torch.equal(IMAGES, before)


def test_noise_has_the_deviation_of_the_channel_and_is_the_same_each_time() -> None:
    changed, again = (damages(MODALITIES, MEAN, DEVIATION)["noisy ir"](IMAGES) for _ in range(2))
    assert torch.equal(changed, again)
    assert torch.equal(changed[:, :3], IMAGES[:, :3])
    torch.testing.assert_close((changed - IMAGES)[:, 3].std(), torch.tensor(5.0), rtol=0.05, atol=0)
