"""A picture of the parametric library, a row per category: `python -m p3d_gen.catalogue.picture OUT.jpg`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.codecs import decode_image, encode_jpeg
from p3d_gen.core.composite import composite
from p3d_gen.core.types import Viewpoint
from p3d_gen.render.prepare import prepare_models
from p3d_gen.render.stage import ShardRenderer
from p3d_gen.run.files import write_bytes
from p3d_gen.run.local import available_cores
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.store import RunFolder, create_run
from p3d_gen.spec.sampling import spec

_VARIANTS = 8
_GROUND = 226
_MANIFEST = f"""
categories = {list(CATEGORIES)}
samples_per_category = {_VARIANTS}
[cad]
variants = [0, {_VARIANTS}]
[camera]
image_hw = [168, 168]
focal_px = 840
[render]
samples = 24
[texture]
kind = "realistic"
[light]
kind = "hdri"
[output]
members = []
"""
# Every other shape is seen from behind, so that both ends are in the picture.
_AZIMUTHS_RAD = np.radians([35, 140, -30, 215, 60, 160, -50, 195])


def _cells(run: RunFolder, worker: BlenderWorker, category: str) -> Iterator[NDArray[np.uint8]]:
    renderer = ShardRenderer(run, worker, category)
    for index, cad in enumerate(run.inventory.cads[category]):
        view = Viewpoint(
            azimuth_rad=float(_AZIMUTHS_RAD[index]), elevation_rad=float(np.radians(18)), theta_rad=0.0, distance=5.6
        )
        sample = spec(run.manifest, run.inventory, category, index)
        rgba = decode_image(renderer.sample(replace(sample, cad_id=cad.id, viewpoint=view))["render.png"])
        rgb = np.ascontiguousarray(rgba[..., :3])
        yield composite(rgb, rgba[..., 3], np.full_like(rgb, _GROUND))


def library_picture() -> NDArray[np.uint8]:
    """Render the first eight variants of every category, with realistic materials and environment maps: (H, W, 3)."""
    with ScratchFolder() as folder, BlenderWorker() as worker:
        manifest = folder / "library.toml"
        manifest.write_text(_MANIFEST)
        run = create_run(folder / "run", manifest)
        prepare_models(run, len(available_cores()))
        return np.vstack([np.hstack(list(_cells(run, worker, category))) for category in CATEGORIES])


def main() -> None:
    """Run the command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m p3d_gen.catalogue.picture", description=__doc__)
    parser.add_argument("out", type=Path, help="the JPEG file to write")
    out = parser.parse_args().out
    write_bytes(out, encode_jpeg(library_picture(), quality=88))


if __name__ == "__main__":
    main()
