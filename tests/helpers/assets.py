"""Small real assets, a manifest over them, and an inventory of numbered ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from p3d_gen.spec.inventory import Asset, Inventory


def wedge() -> trimesh.Trimesh:
    """A lopsided closed body: no rotation or mirror maps it to itself, so a wrong axis shows."""
    body = trimesh.creation.box((0.5, 1.0, 0.3))
    nose = trimesh.creation.box((0.2, 0.3, 0.4))
    nose.apply_translation((0.1, -0.35, 0.2))
    return trimesh.util.concatenate([body, nose])


def save_picture(path: Path, seed: int, hw: tuple[int, int] = (64, 96)) -> None:
    """A picture of coarse noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng([seed, 1]).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(hw[::-1], Image.Resampling.BICUBIC).save(path)


def make_assets(root: Path) -> Path:
    """Fill a folder with CAD models of two categories, textures in DTD layout and backgrounds."""
    for category in ("car", "chair"):
        (root / "cad" / category).mkdir(parents=True)
        for i, stretch in enumerate((1.0, 1.4)):
            mesh = wedge()
            mesh.apply_scale((1.0, stretch, 1.0))
            mesh.export(root / "cad" / category / f"m{i}.off")
    for attribute in ("banded", "dotted"):
        save_picture(root / "textures" / attribute / f"{attribute}_0001.jpg", len(attribute))
    for i in range(3):
        save_picture(root / "backgrounds" / f"b{i}.jpg", i, (90, 120))
    return root


MANIFEST = """
seed = 3
categories = ["car", "chair"]
samples_per_category = 3
shard_size = 2

[cad]
source = "assets/cad"

[camera]
image_hw = [64, 96]
focal_px = 400
distance = [5, 6]

[render]
samples = 1

[texture]
source = "assets/textures"

[background]
source = "assets/backgrounds"

[stylize]
resolution = 128
"""


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace pieces of a text file, each of which must be there."""
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def numbered_assets(prefix, count):
    return tuple(Asset(id=f"{prefix}{i}", address=f"{prefix}{i}") for i in range(count))


INVENTORY = Inventory(
    cads={"car": numbered_assets("car", 4), "chair": numbered_assets("chair", 4)},
    textures=numbered_assets("t", 5),
    hdris=numbered_assets("h", 3),
    backgrounds=numbered_assets("b", 5),
)
