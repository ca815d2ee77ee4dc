"""Fixtures: small real assets, and runs made from them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from p3d_gen.store import Run, create_run

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: tests run side by side, and float sums depend on it


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that P3D_DATA names."""
    if "P3D_DATA" not in os.environ:
        pytest.skip("P3D_DATA is not set: no real CAD models and photographs")
    return Path(os.environ["P3D_DATA"])


@pytest.fixture(scope="session")
def weights_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tiny diffusion models lie."""
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="session")
def sd(weights_root: Path) -> tuple[Path, Path]:
    """A tiny Stable Diffusion and its ControlNet."""
    from tiny_diffusion import save_tiny_pipeline

    return save_tiny_pipeline(weights_root / "sd")


@pytest.fixture(scope="session")
def sdxl(weights_root: Path) -> tuple[Path, Path]:
    """A tiny SDXL and its ControlNet."""
    from tiny_diffusion import save_tiny_sdxl

    return save_tiny_sdxl(weights_root / "sdxl")


@pytest.fixture(scope="session")
def sd3(weights_root: Path) -> tuple[Path, Path]:
    """A tiny Stable Diffusion 3 and its ControlNet."""
    from tiny_diffusion import save_tiny_sd3

    return save_tiny_sd3(weights_root / "sd3")


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


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """The folder of `make_assets`."""
    return make_assets(tmp_path / "assets")


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


@pytest.fixture
def manifest_path(tmp_path: Path, assets: Path) -> Path:
    """A manifest over `assets`: two categories, three samples each, two shards each."""
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def run(tmp_path: Path, manifest_path: Path) -> Run:
    """A fresh run folder of `manifest_path`."""
    return create_run(tmp_path / "run", manifest_path)


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace pieces of a text file, each of which must be there."""
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
