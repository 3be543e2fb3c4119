"""timm's transformer behind ViT: same logits, patches, enlarged images, maps and attention."""

from __future__ import annotations

import pytest
import torch

from kd.distill.features import FeatureTaps
from kd.errors import SpecError
from kd.models.vit import vit6, vit_tiny


def test_logits_are_those_of_timm() -> None:
    model = vit6(10, 3, 32).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(images), model.network(images))


@pytest.mark.parametrize(("size", "patch", "tokens"), [(32, None, 8), (32, 8, 4), (224, None, 14), (28, None, 7)])
def test_maps_have_one_cell_per_patch(size: int, patch: int | None, tokens: int) -> None:
    model = vit6(10, 1, size, patch=patch).eval()
    taps = FeatureTaps(model)
    with torch.no_grad():
        logits = model(torch.randn(1, 1, size, size))
    features = taps.collect()
    maps = [feature for name, feature in features.items() if name != "pooled"]
    assert [tuple(feature.shape) for feature in maps] == [(1, 192, tokens, tokens)] * 4
    torch.testing.assert_close(model.network.head(features["pooled"]), logits)


def test_the_stages_are_the_quarters_of_the_blocks() -> None:
    model = vit_tiny(10, 1, 16).eval()
    outputs = []
    for block in model.network.blocks:
        block.register_forward_hook(lambda module, given, output: outputs.append(output))
    taps = FeatureTaps(model)
    model(torch.randn(1, 1, 16, 16))
    features = taps.collect()
    for number, block in enumerate((2, 5, 8, 11), start=1):
        tokens = outputs[block][:, 1:].transpose(1, 2).reshape(1, 192, 4, 4)
        torch.testing.assert_close(features[f"stage{number}"], tokens)


def test_exposed_attention_sums_to_one_and_changes_no_logit() -> None:
    model = vit6(10, 3, 16).eval()
    images = torch.randn(2, 3, 16, 16)
    before = model(images)
    model.expose_attention()
    taps = FeatureTaps(model)
    torch.testing.assert_close(model(images), before, rtol=1e-4, atol=1e-5)
    weights = [feature for name, feature in taps.collect().items() if name.startswith("attention")]
    assert [tuple(weight.shape) for weight in weights] == [(2, 3, 17, 17)] * 6
    for weight in weights:
        torch.testing.assert_close(weight.sum(-1), torch.ones(2, 3, 17))


def test_enlarged_images_get_the_patches_of_large_images() -> None:
    model = vit_tiny(10, 3, 32, resize=224).eval()
    assert model.network.patch_embed.patch_size == (16, 16)
    with torch.inference_mode():
        assert model(torch.randn(1, 3, 32, 32)).shape == (1, 10)


def test_patches_that_do_not_tile_the_image_are_refused() -> None:
    with pytest.raises(SpecError, match="patches of 5 pixels do not tile an image of 32"):
        vit6(10, 3, 32, patch=5)


def test_drop_path_acts_in_training_only() -> None:
    model = vit6(10, 1, 8, drop_path=0.5)
    images = torch.randn(8, 1, 8, 8)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
