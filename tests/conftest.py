"""Fixtures: small real assets, and runs made from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p3d_gen.run.store import RunFolder, create_run
from tests.helpers.assets import MANIFEST, make_assets

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
    from tests.helpers.tiny_diffusion import save_tiny_pipeline

    return save_tiny_pipeline(weights_root / "sd")


@pytest.fixture(scope="session")
def sdxl(weights_root: Path) -> tuple[Path, Path]:
    """A tiny SDXL and its ControlNet."""
    from tests.helpers.tiny_diffusion import save_tiny_sdxl

    return save_tiny_sdxl(weights_root / "sdxl")


@pytest.fixture(scope="session")
def sd3(weights_root: Path) -> tuple[Path, Path]:
    """A tiny Stable Diffusion 3 and its ControlNet."""
    from tests.helpers.tiny_diffusion import save_tiny_sd3

    return save_tiny_sd3(weights_root / "sd3")


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """The folder of `make_assets`."""
    return make_assets(tmp_path / "assets")


@pytest.fixture
def manifest_path(tmp_path: Path, assets: Path) -> Path:
    """A manifest over `assets`: two categories, three samples each, two shards each."""
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def run(tmp_path: Path, manifest_path: Path) -> RunFolder:
    """A fresh run folder of `manifest_path`."""
    return create_run(tmp_path / "run", manifest_path)
