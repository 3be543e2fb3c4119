"""What stages leave for the report to draw, and that it changes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.drawing.drawn_images import main
from kd.errors import UserError
from kd.files import sha256_file
from kd.rundir.drawn_file import read_drawn

DRAW = {"embeddings": 20, "feature_maps": ["stage1", "stage2"]}

pytestmark = pytest.mark.cpu  # equal bits without `deterministic`


def test_a_stage_leaves_points_and_maps_and_the_same_weights(run, spec, tmp_path: Path) -> None:
    plain, drawn = run(tmp_path / "plain", spec()), run(tmp_path / "drawn", spec(draw=DRAW))
    assert sha256_file(plain.best) == sha256_file(drawn.best)
    assert not plain.drawn.exists()
    found = read_drawn(drawn, "baseline-1")
    assert found is not None
    assert found.embedding is not None
    assert (len(found.embedding.points), len(found.embedding.labels), found.embedding.method) == (20, 20, "tsne")
    assert [layer.layer for layer in found.layers] == ["stage1", "stage2"]
    assert [len(layer.attention) for layer in found.layers] == [4, 4]
    first = found.layers[0].maps[0][0]
    assert len(first.pixels) == first.height * first.width
    assert {min(first.pixels), max(first.pixels)} == {0, 255}
    image = found.images[0]
    assert (image.height, image.width, image.channels, len(image.pixels)) == (8, 8, 3, 192)
    assert found.labels == found.embedding.labels[:4]  # the same images


def test_a_finished_stage_is_drawn_later_as_it_would_have_been(run, spec, tmp_path: Path) -> None:
    at_once, later = run(tmp_path / "at-once", spec(draw=DRAW)), run(tmp_path / "later", spec())
    assert main([str(later.path), "--embeddings", "20", "--feature-maps", "stage1", "stage2"]) == 0
    assert read_drawn(later, "baseline-1") == read_drawn(at_once, "baseline-1")
    assert read_drawn(later, "another") is None


@pytest.mark.parametrize(
    ("layer", "message"),
    [("stage9", r"^no layer 'stage9' \(did you mean 'stage"), ("pooled", r"^pooled: this layer puts out no maps, but")],
)
def test_a_layer_that_cannot_be_drawn_is_named_before_the_training(
    layer: str, message: str, run, spec, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run(tmp_path, spec(draw={"feature_maps": [layer]}))
    assert not (tmp_path / "metrics.csv").exists()


def test_umap_that_is_not_installed_is_named_before_the_training(
    run, spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd.drawing.plane_maps.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^umap-learn is not installed: pip install umap-learn$"):
        run(tmp_path, spec(draw={"embeddings": 20, "method": "umap"}))
    assert not (tmp_path / "metrics.csv").exists()
