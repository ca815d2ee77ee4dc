from pathlib import Path

import cv2
import numpy as np
import pytest

from p3d_gen.assets import build as assets
from p3d_gen.assets.parametric import build
from p3d_gen.assets.procedural import ATTRIBUTES, texture

COMMITTED = assets.DEFAULT_OUT


def test_committed_shapes_equal_what_the_code_makes() -> None:
    for category in assets.CATEGORIES:
        for variant in range(assets.BODY_TYPES):
            path = COMMITTED / "cad" / category / f"{category}_{variant:02d}.ply"
            assert path.stat().st_size < 400_000
            stored, made = assets.mesh_of_ply(path.read_bytes()), build(category, variant)
            np.testing.assert_allclose(stored.vertices, made.vertices, atol=1e-6)
            np.testing.assert_array_equal(stored.faces, made.faces)
            np.testing.assert_array_equal(stored.face_part, made.face_part)
            assert stored.part_names == made.part_names


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_committed_textures_equal_what_the_code_makes(name: str) -> None:
    stored = cv2.imread(str(COMMITTED / "textures" / name / f"{name}_0001.jpg"))
    made = assets.jpeg_bytes(texture(name, 1, assets.TEXTURE_PX))
    decoded = cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_COLOR)
    assert stored.shape == (assets.TEXTURE_PX, assets.TEXTURE_PX, 3)
    assert np.abs(stored.astype(float) - decoded).mean() < 0.5


def test_committed_folder_holds_nothing_else_and_stays_small() -> None:
    made = [p for part in ("cad", "textures") for p in (COMMITTED / part).rglob("*") if p.is_file()]
    shapes = {f"cad/{c}/{c}_{v:02d}.ply" for c in assets.CATEGORIES for v in range(assets.BODY_TYPES)}
    images = {f"textures/{n}/{n}_{s:04d}.jpg" for n in ATTRIBUTES for s in range(assets.TEXTURES_EACH)}
    assert {p.relative_to(COMMITTED).as_posix() for p in made} == shapes | images
    assert sum(p.stat().st_size for p in made) < 6_000_000


def test_ply_round_trip_and_header() -> None:
    mesh = build("chair", 7)
    data = assets.ply_bytes(mesh)
    assert data == assets.ply_bytes(build("chair", 7))
    assert data.startswith(b"ply\nformat binary_little_endian 1.0\n")
    back = assets.mesh_of_ply(data)
    np.testing.assert_array_equal(back.vertices, mesh.vertices.astype(np.float32))
    np.testing.assert_array_equal(back.faces, mesh.faces)
    np.testing.assert_array_equal(back.face_part, mesh.face_part)
    assert back.part_names == mesh.part_names


def test_ply_is_read_by_other_software(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    mesh = build("car", 1)
    path = tmp_path / "car.ply"
    path.write_bytes(assets.ply_bytes(mesh))
    loaded = trimesh.load(path, process=False)
    np.testing.assert_allclose(loaded.vertices, mesh.vertices, atol=1e-6)
    np.testing.assert_array_equal(loaded.faces, mesh.faces)


@pytest.mark.parametrize("data", [b"", b"ply\nend_header\n", b"solid\n"])
def test_foreign_ply_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a PLY written by"):
        assets.mesh_of_ply(data)


def test_truncated_ply_is_refused() -> None:
    data = assets.ply_bytes(build("chair", 0))
    with pytest.raises(ValueError, match="not a PLY written by"):
        assets.mesh_of_ply(data[:-1])


def test_write_makes_every_file_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "files", lambda: {"cad/car/car_00.ply": b"abc", "textures/x/x_0000.jpg": b"de"})
    for _ in range(2):
        assert assets.write(tmp_path) == 5
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert names == ["cad/car/car_00.ply", "textures/x/x_0000.jpg"]
    assert (tmp_path / "cad/car/car_00.ply").read_bytes() == b"abc"
