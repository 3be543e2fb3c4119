"""Published weights: from a file or a cache, adapted to other images and classes, and refused in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from kd.errors import CheckpointError
from kd.models.mobilenet import mobilenet_v2
from kd.models.resnet import resnet18, resnet34
from kd.models.vit import vit_small, vit_tiny
from kd.vision_libraries import import_vision

WIDTH = 4  # of the small stand-ins for published networks


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Weights with 1000 classes and the ImageNet stem, as torchvision publishes them, but narrow."""
    torch.manual_seed(1)
    path = tmp_path / "published.pth"
    torch.save(resnet18(1000, 3, 64, stem="imagenet", width=WIDTH).state_dict(), path)
    return path


def narrow(classes: int, channels: int, path: Path, **arguments: object) -> torch.nn.Module:
    return resnet18(classes, channels, 64, width=WIDTH, pretrained=str(path), **arguments)


def test_equal_classes_take_all_weights(published: Path) -> None:
    weights = torch.load(published, weights_only=True)
    for name, tensor in narrow(1000, 3, published, stem="imagenet").state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_other_classes_get_a_new_classifier_and_nothing_else(published: Path) -> None:
    weights = torch.load(published, weights_only=True)
    model = narrow(7, 3, published, stem="imagenet").state_dict()
    assert model["fc.weight"].shape == (7, 8 * WIDTH)
    kept = [name for name in weights if not name.startswith("fc.")]
    assert kept
    assert all(torch.equal(model[name], weights[name]) for name in kept)


def test_the_cifar_stem_takes_the_middle_of_the_kernel(published: Path) -> None:
    weights = torch.load(published, weights_only=True)
    model = narrow(7, 3, published, stem="cifar")
    assert torch.equal(model.conv1.weight, weights["conv1.weight"][:, :, 2:5, 2:5])


@pytest.mark.parametrize("channels", [1, 2])
def test_a_grey_image_gives_the_logits_that_it_gave_as_rgb(published: Path, channels: int) -> None:
    grey = torch.randn(1, 1, 64, 64)
    rgb = narrow(1000, 3, published, stem="imagenet").eval()
    other = narrow(1000, channels, published, stem="imagenet").eval()
    expected = rgb(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(other(grey.expand(-1, channels, -1, -1)), expected, rtol=1e-3, atol=1e-4)


def test_freezing_leaves_the_classifier_and_an_adapted_stem_to_train(published: Path) -> None:
    def trained(**arguments: object) -> set[str]:
        model = narrow(7, 3, published, freeze_backbone=True, **arguments)
        return {name.partition(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}

    assert trained(stem="imagenet") == {"fc"}
    assert trained(stem="cifar") == {"fc", "conv1", "bn1"}


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_weights_inside_a_training_checkpoint_are_found(published: Path, key: str) -> None:
    weights = torch.load(published, weights_only=True)
    torch.save({key: weights, "epoch": 3}, published)
    assert torch.equal(
        narrow(7, 3, published, stem="imagenet").layer1[0].conv1.weight, weights["layer1.0.conv1.weight"]
    )


def test_safetensors_are_read(published: Path) -> None:
    weights = torch.load(published, weights_only=True)
    path = published.with_suffix(".safetensors")
    save_file(weights, path)
    assert torch.equal(narrow(7, 3, path, stem="imagenet").bn1.weight, weights["bn1.weight"])


def refused(message: str, path: Path, **arguments: object) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        narrow(7, 3, path, **arguments)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_serve_is_refused_in_one_line(published: Path, tmp_path: Path) -> None:
    refused("there is no file", tmp_path / "none.pth")
    for name in ("damaged.pth", "damaged.safetensors"):
        path = tmp_path / name
        path.write_bytes(published.read_bytes()[:500])
        refused("cannot be read as weights", path)
    listed = tmp_path / "list.pth"
    torch.save([1, 2], listed)
    refused("holds no plain weights", listed)
    torch.save(resnet34(10, 3, 32, width=WIDTH).state_dict(), listed)
    refused("are of another network", listed)


def test_a_file_that_runs_code_when_read_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    path = tmp_path / "hostile.pth"
    torch.save({"conv1.weight": Hostile()}, path)
    refused("cannot be read as weights", path)
    assert not (tmp_path / "ran").exists()


def test_true_reads_torchvisions_file_from_torchs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"there is no (\S+/resnet18-f37072fd\.pth); put https?://\S+ there"
    ) as error:
        resnet18(7, 3, 32, pretrained=True)
    named = re.search(r"there is no (\S+);", str(error.value))
    assert named is not None
    theirs = import_vision("torchvision.models").resnet18()
    Path(named.group(1)).parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), named.group(1))
    ours = resnet18(1000, 3, 64, stem="imagenet", pretrained=True).eval()
    images = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(images), theirs.eval()(images))


def test_true_reads_torchvisions_mobilenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"mobilenet_v2-b0353104\.pth"):
        mobilenet_v2(7, 3, 32, pretrained=True)


@pytest.mark.parametrize("make", [vit_tiny, vit_small])
def test_true_looks_for_timms_file_in_the_hugging_face_cache(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"has no model\.safetensors of timm/vit_(tiny|small)_patch16_224"
    ) as error:
        make(7, 3, 224, pretrained=True)
    assert str(tmp_path) in str(error.value)


def test_a_transformer_takes_timms_weights_at_its_own_patches_and_positions(tmp_path: Path) -> None:
    timm = import_vision("timm")
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=7).eval()
    path = tmp_path / "vit.safetensors"
    save_file(theirs.state_dict(), path)
    images = torch.randn(1, 3, 224, 224)
    same = vit_tiny(7, 3, 224, pretrained=str(path)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(same(images), theirs(images))
    small = vit_tiny(9, 1, 32, pretrained=str(path), freeze_backbone=True)
    blocks = theirs.state_dict()["blocks.3.mlp.fc1.weight"]
    assert torch.equal(small.network.blocks[3].mlp.fc1.weight, blocks)
    assert small.network.pos_embed.shape == (1, 65, 192)
    trained = {name for name, parameter in small.named_parameters() if parameter.requires_grad}
    assert {name.split(".")[1] for name in trained} == {"head", "patch_embed"}


def test_a_network_starts_from_weights_that_it_saved_itself(tmp_path: Path) -> None:
    first = vit_tiny(5, 1, 16)
    path = tmp_path / "own.pth"
    torch.save(first.state_dict(), path)
    second = vit_tiny(5, 1, 16, pretrained=str(path))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
