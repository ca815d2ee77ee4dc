"""Fixtures: small real assets, and runs made from them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from p3d_gen.run.remote import place
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.store import RunFolder, create_run
from tests.helpers.assets import MANIFEST, make_assets
from tests.helpers.commands import HOST, free_port

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: tests run side by side, and float sums depend on it


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of temporary files of the tests and of what they start. It goes with them, however they end.

    A Blender that ends without a last step leaves an empty folder: none may.
    """
    tmp_path_factory.getbasetemp()  # pytest's own stays outside, to be looked at
    with ScratchFolder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder
        assert not list(folder.glob("blender_*"))


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


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on this machine."""
    port = free_port("s3")
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://{HOST}:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/moto-api/data.json").close()
            break
        except OSError:
            assert process.poll() is None
            time.sleep(0.1)
    yield address
    process.terminate()
    process.wait()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The address of an empty bucket; who we are stands in the environment, as it does for users."""
    for name, value in (
        ("AWS_ENDPOINT_URL", s3_server),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("XDG_CACHE_HOME", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3").clear_instance_cache()
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/moto-api/reset", method="POST")).close()
    place("s3://lab/x").fs.mkdir("lab")
    return "s3://lab"
