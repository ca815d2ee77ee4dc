from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_assets.textures import ATTRIBUTES, texture
from blender_assets.textures import build_assets as assets

COMMITTED = assets.DEFAULT_OUT


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_committed_textures_equal_what_the_code_makes(name: str) -> None:
    stored = cv2.imread(str(COMMITTED / "textures" / name / f"{name}_0001.jpg"))
    made = assets.jpeg_bytes(texture(name, 1, assets.TEXTURE_PX))
    decoded = cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_COLOR)
    assert stored.shape == (assets.TEXTURE_PX, assets.TEXTURE_PX, 3)
    assert np.abs(stored.astype(float) - decoded).mean() < 0.5


def test_committed_folder_holds_nothing_else_and_stays_small() -> None:
    made = [p for p in (COMMITTED / "textures").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    images = {f"{n}/{n}_{s:04d}.jpg" for n in ATTRIBUTES for s in range(assets.TEXTURES_EACH)}
    assert {p.relative_to(COMMITTED / "textures").as_posix() for p in made} == images
    assert len(made) == 94
    assert sum(p.stat().st_size for p in made) < 3_000_000
    assert not (COMMITTED / "cad").exists()


def test_write_makes_every_file_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "files", lambda: {"a/b/c.jpg": b"abc", "textures/x/x_0000.jpg": b"de"})
    for _ in range(2):
        assert assets.write(tmp_path) == 5
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert names == ["a/b/c.jpg", "textures/x/x_0000.jpg"]
    assert (tmp_path / "a/b/c.jpg").read_bytes() == b"abc"
