"""`p3dgen bench fidelity`: models in their own materials look as Blender's own import of them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.bench.fidelity import psnr_db
from p3d_gen.cli import main
from p3d_gen.core.errors import DataError

CORNERS = [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]


def write_obj(path):
    """A red box whose author gave it the normals of a ball."""
    path.with_suffix(".mtl").write_text("newmtl red\nKd 0.8 0.1 0.1\n")
    lines = [f"mtllib {path.stem}.mtl", *(f"v {x} {y} {z}" for x, y, z in CORNERS)]
    lines += [f"vn {x} {y} {z}" for x, y, z in CORNERS]
    lines += ["usemtl red", *("f " + " ".join(f"{n + 1}//{n + 1}" for n in quad) for quad in QUADS)]
    path.write_text("\n".join(lines) + "\n")


def write_ply(path, rows=8):
    """A box with a colour at each vertex."""
    head = ["ply", "format ascii 1.0", "element vertex 8", *(f"property float {axis}" for axis in "xyz")]
    head += [*(f"property uchar {name}" for name in ("red", "green", "blue")), "element face 6"]
    head += ["property list uchar int vertex_indices", "end_header"]
    body = [f"{x} {y} {z} {100 + 90 * x} {100 + 90 * y} {100 + 90 * z}" for x, y, z in CORNERS[:rows]]
    path.write_text("\n".join([*head, *body, *("4 " + " ".join(map(str, quad)) for quad in QUADS)]) + "\n")


def run(*words):
    return CliRunner().invoke(main, ["bench", "fidelity", *map(str, words)])


@pytest.mark.blender
def test_normals_and_colours_look_as_in_blender_and_what_nobody_reads_is_named(tmp_path):
    write_obj(tmp_path / "ball.obj")
    write_ply(tmp_path / "coloured.ply")
    write_ply(tmp_path / "cut.ply", rows=5)
    result = run(tmp_path, "--size", 48, "--samples", 8)
    assert result.exit_code == 0
    figures = json.loads(result.output.splitlines()[-1])
    assert figures["refused"] + figures["unread"] == 1  # the one that was cut short
    assert figures["failed"] == 0
    assert set(figures["psnr_db"]) == {"ball.obj", "coloured.ply"}
    assert figures["worst_psnr_db"] > 35


def test_likeness_counts_the_object_and_its_border_alone():
    first = np.zeros((40, 40, 4), np.float32)
    first[10:20, 10:20] = (0.5, 0.5, 0.5, 1.0)
    second = first.copy()
    assert psnr_db(first, second) == 99.0
    second[10:20, 10:20, :3] = 0.4
    small = psnr_db(first, second)
    wide = [np.pad(each, ((0, 60), (0, 60), (0, 0))) for each in (first, second)]
    assert psnr_db(*wide) == small
    assert 15 < small < 30
    with pytest.raises(DataError, match="empty"):
        psnr_db(np.zeros_like(first), np.zeros_like(first))


def test_a_folder_without_models_is_said(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "holds no CAD model" in result.output
