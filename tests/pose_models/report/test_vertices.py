"""Pictures of which vertices are robust, before and after an adaptation."""

import os

import cv2
import numpy as np
import pytest

from pose_models.report.vertices import VertexRates, colours, counts, read_vertices, vertices_picture, write_vertices
from tests.helpers.adaptation_runs import MESH, page_of, write_model, write_rates, write_run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "uda-box")


def test_the_picture_is_on_the_page_and_in_the_folder(run):
    page = page_of(run)
    assert "img" in page.tags
    picture = cv2.imread(str(run / "vertices.png"))
    assert picture.shape[1] == 2 * (2 * 350 + 4) + 3 * 24
    os.utime(run / "vertices.safetensors", (1, 1))
    before = (run / "vertices.png").stat().st_mtime_ns
    write_vertices(run, "t")
    assert (run / "vertices.png").stat().st_mtime_ns == before
    write_rates(run, np.zeros((2, len(MESH.vertices))))
    write_vertices(run, "t")
    assert (run / "vertices.png").stat().st_mtime_ns > before


def rates_of(before, after=None):
    return VertexRates(category="box", mesh=MESH, before=before, after=after)


def test_counts_add_up_to_the_vertices():
    rates = np.array([0.0, 0.1, 0.49, 0.5, 1.0, np.nan])
    assert counts(rates) == {"robust": 2, "sometimes": 2, "never": 1, "never shown": 1}
    assert sum(counts(rates).values()) == len(rates)


def test_colours_are_ordered_by_luminance():
    found = np.array(colours(np.linspace(0, 0.5, 50), 0.5))
    luminance = found @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()
    assert colours(np.array([0.5]), 0.5) == colours(np.array([1.0]), 1.0)


def test_vertices_have_the_colour_of_their_rate_where_they_are():
    right = (MESH.normals[:, 0] < 0) * 1.0
    picture = vertices_picture([rates_of(right, 1 - right)], "t")
    yellow, dark = (colours(np.array([rate]), 1.0)[0] for rate in (1.0, 0.0))
    front_left, back_right = ((picture[180:480, left : left + 350]) for left in (24, 24 + 354))

    def share(panel, colour):
        return (panel == colour).all(axis=2).mean()

    assert share(front_left, yellow) == 0
    assert share(front_left, dark) > 0.1
    assert share(back_right, yellow) > 0.05
    adapted_left = picture[180:480, 24 + 704 + 24 :][:, :350]
    assert share(adapted_left, dark) == 0
    assert share(adapted_left, yellow) > 0.1


def test_every_vertex_but_the_underside_is_a_dot():
    unseen = np.full(len(MESH.vertices), np.nan)
    base = vertices_picture([rates_of(unseen)], "t")
    above = np.flatnonzero(MESH.normals[:, 2] >= 0)
    for row in above[:: len(above) // 11]:
        one = unseen.copy()
        one[row] = 1.0
        changed = (vertices_picture([rates_of(one)], "t") != base).any(axis=2)
        assert changed[180:480, 24 : 24 + 704].sum() > 10
    below = unseen.copy()
    below[MESH.normals[:, 2] < 0] = 1.0
    assert (vertices_picture([rates_of(below)], "t") == base)[180:480].all()


def test_pictures_of_few_epochs_and_of_nothing(run):
    write_rates(run, np.full((1, len(MESH.vertices)), 0.3))
    (single,) = read_vertices(run)
    assert single.after is None
    assert page_of(run).tags.count("img") == 1
    assert vertices_picture([rates_of(np.full(len(MESH.vertices), np.nan))], "t").shape[2] == 3
    with pytest.raises(ValueError, match="no vertices to show"):
        vertices_picture([], "t")
    with pytest.raises(ValueError, match=r"shares in 0\.\.1, not 0 to 2"):
        vertices_picture([rates_of(np.linspace(0, 2, len(MESH.vertices)))], "t")
    (run / "vertices.safetensors").unlink()
    assert read_vertices(run) == []
    assert write_vertices(run, "t") is None


def test_the_mesh_is_that_of_the_model_once_there_is_one(run):
    write_model(run)
    write_model(run.parent / "source", category="other")
    assert [each.category for each in read_vertices(run)] == ["box"]
    (run / "model.json").unlink()
    with pytest.raises(ValueError, match=r"box/acceptance .* does not fit the meshes of .*source.model\.json"):
        read_vertices(run)
    (run.parent / "source" / "model.json").write_text("{}")
    with pytest.raises(ValueError, match=r"cannot read the meshes in .*source.model\.json"):
        read_vertices(run)
    (run.parent / "source" / "model.json").unlink()
    with pytest.raises(ValueError, match=r"source\.json names the source model .* start in the folder"):
        read_vertices(run)
    (run / "source.json").unlink()
    with pytest.raises(ValueError, match=r"neither model\.json nor source\.json"):
        read_vertices(run)
    (run / "vertices.safetensors").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"cannot read .*vertices\.safetensors"):
        read_vertices(run)
