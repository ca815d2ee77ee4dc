"""One picture of one CAD model from a chosen viewpoint, without a run folder."""

from __future__ import annotations

import atexit
import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from math import radians
from pathlib import Path
from typing import Any

from PIL import Image

from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.catalogue.collect import Wanted, collect
from p3d_gen.core.categories import BUILTIN, CategoryDefinition
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.errors import AssetError, ManifestError
from p3d_gen.core.types import Viewpoint
from p3d_gen.render.prepare import prepare_model
from p3d_gen.render.stage import ShardRenderer
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.inventory import Asset, Inventory
from p3d_gen.spec.manifest import Manifest, manifest_hash
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.sections import validated
from p3d_gen.spec.taken import take_backgrounds, take_environments, take_textures

_FILL = (0.9, 0.9)


@functools.lru_cache(maxsize=1)
def _worker(device: str) -> BlenderWorker:
    """Return the Blender process, which is kept for the next picture: its start takes seconds."""
    worker = BlenderWorker(device=device)
    atexit.register(worker.close)
    return worker


def _one_model(cad: str, wanted: Wanted) -> tuple[CategoryDefinition, Asset]:
    """Return the only CAD model at an address, and the definition of its category."""
    collection = collect(cad, wanted)
    models = [(collection.definition(name), asset) for name, assets in collection.cads.items() for asset in assets]
    if len(models) > 1:
        raise AssetError(f"{cad} stands for {len(models)} CAD models: name the file of one, or one parametric shape")
    return models[0]


def render_one(
    cad: str | Path,
    category: str = "",
    *,
    azimuth_deg: float = 30.0,
    elevation_deg: float = 15.0,
    theta_deg: float = 0.0,
    distance: float = 5.0,
    image_hw: Sequence[int] = (512, 512),
    focal_px: float | None = None,
    texture: str = "realistic",
    light: str = "hdri",
    colour: str = "",
    samples: int = 32,
    seed: int = 0,
    up: str = "auto",
    front: str = "auto",
    device: str = "auto",
) -> tuple[Image.Image, dict[str, Any]]:
    """Render one CAD model with Blender, in a process of its own, and return the picture and its labels.

    The picture is RGBA with a transparent background. The labels are those of a rendered sample of a run, with the
    same definitions.

    cad: a file, or the address of a parametric shape such as "parametric:car?variant=3". category: its name, by default
    that of its folder; not needed for parametric shapes. azimuth_deg, elevation_deg, theta_deg, distance: the
    viewpoint, see `core.types.Viewpoint`; distance is in box diagonals. image_hw: height and width in pixels.
    focal_px: None stands for the focal length at which the object takes 90 % of the frame. texture, light: a manifest's
    texture.kind and light.kind. colour: of the paint of realistic textures; "" draws one. samples: rays per pixel.
    seed: of textures, light and paint. up, front: axes of the file, such as "z" and "-y". device: "auto", "cpu" or a
    kind of GPU.

    AssetError if the model cannot be used or not be rendered so, ManifestError if an argument is not valid.
    """
    definition, asset = _one_model(str(cad), Wanted(category=category, up=up, front=front))
    category = definition.name
    settings = {
        "seed": seed,
        "categories": [category],
        "samples_per_category": 1,
        "camera": {
            "image_hw": tuple(image_hw),
            **({"focal_px": focal_px} if focal_px else {"fill": _FILL}),
            "distance": (distance, distance),
        },
        "render": {"samples": samples},
        "texture": {"kind": texture},
        "light": {"kind": light},
        "output": {"members": []},
        "stylize": {"colours": [colour]} if colour else {},
    }
    if category not in BUILTIN:
        settings["cad"] = {"source": asset.path.absolute().anchor}  # there are no embedded shapes of it
    manifest = validated(Manifest, settings, "the call of render_one", "manifest", ManifestError)
    inventory = Inventory(
        cads={category: (asset,)},
        textures=take_textures(manifest, Path.cwd()),
        hdris=take_environments(manifest, Path.cwd()),
        backgrounds=take_backgrounds(manifest, Path.cwd()),
        definitions={category: definition},
    )
    view = Viewpoint(
        azimuth_rad=radians(azimuth_deg),
        elevation_rad=radians(elevation_deg),
        theta_rad=radians(theta_deg),
        distance=float(distance),
    )
    sample = replace(spec(manifest, inventory, category, 0), viewpoint=view)
    worker = _worker(device.upper())
    with ScratchFolder() as folder:
        run = RunFolder(
            root=folder,
            manifest=manifest,
            base_dir=Path.cwd(),
            manifest_hash=manifest_hash(manifest),
            inventory=inventory,
            prepared=True,
        )
        if reason := prepare_model(run, worker, category, asset):
            raise AssetError(f"{cad} cannot be used: {reason.removeprefix('ValueError: ')}")
        try:
            members = ShardRenderer(run, worker, category).sample(sample)
        except (BlenderError, ValueError) as error:
            raise AssetError(f"{cad} cannot be rendered like this: {error}") from None
    return Image.fromarray(decode_image(members["render.png"])), json.loads(members["json"])
