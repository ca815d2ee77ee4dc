"""(manifest, inventory, category, index) -> RenderSpec. Pure: no I/O, and the same numbers everywhere.

Every property draws from its own stream, np.random.default_rng([seed, stream, category, index]), so that changing how
one of them is drawn leaves all others as they were, and no property can depend on another or on the category.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from p3d_gen.assets.sources import Asset, Inventory
from p3d_gen.geometry import camera_centre, random_rotation, viewpoint_of
from p3d_gen.manifest import Manifest, TruncatedNormal
from p3d_gen.types import Camera, Environment, Lamp, RenderSpec, Viewpoint, Window

T = TypeVar("T")


class Stream(IntEnum):
    """The independent random streams of one sample; numbers are part of the format and never reused."""

    CAD = 1
    ROTATION = 2
    DISTANCE = 3
    TEXTURE = 4
    LIGHT = 5
    BACKGROUND = 6
    COLOUR = 7
    STYLIZE = 8
    RENDER = 9
    SURFACE = 10


# Irradiance of the key, fill and back lamp, and their side length; like the mean radiance of an environment, bright
# enough for a mid-grey object to be mid-grey.
_LAMPS = ((2.6, 2.0), (1.3, 3.0), (1.3, 2.0))
_LAMP_JITTER = 3.0
_MEAN_RADIANCE = 0.6


def stream(manifest: Manifest, which: Stream, category: str, index: int) -> np.random.Generator:
    """The generator of one property of one sample."""
    return np.random.default_rng([manifest.seed, which, zlib.crc32(category.encode()), index])


def _pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(rng.integers(len(items)))]


def _truncated_rad(rng: np.random.Generator, normal: TruncatedNormal) -> float:
    """By inversion of the distribution function between its values at both ends."""
    low, high = (ndtr((bound - normal.mean_deg) / normal.std_deg) for bound in (normal.min_deg, normal.max_deg))
    return float(np.radians(normal.mean_deg + normal.std_deg * ndtri(rng.uniform(low, high))))


def _viewpoint(manifest: Manifest, category: str, index: int) -> Viewpoint:
    distance = float(stream(manifest, Stream.DISTANCE, category, index).uniform(*manifest.camera.distance))
    rng = stream(manifest, Stream.ROTATION, category, index)
    if manifest.viewpoint.distribution == "so3":
        pose = np.eye(4)
        pose[:3, :3], pose[2, 3] = random_rotation(rng), distance
        return viewpoint_of(pose)
    return Viewpoint(
        azimuth_rad=float(rng.uniform(0, 2 * np.pi)),
        elevation_rad=_truncated_rad(rng, manifest.viewpoint.elevation_of(category)),
        theta_rad=_truncated_rad(rng, manifest.viewpoint.theta),
        distance=distance,
    )


def _lamps(rng: np.random.Generator, manifest: Manifest, viewpoint: Viewpoint) -> tuple[Lamp, ...]:
    strength = rng.uniform(*manifest.light.strength)
    lamps = []
    for irradiance, size in _LAMPS:
        x, y, z = (camera_centre(viewpoint) + rng.uniform(-_LAMP_JITTER, _LAMP_JITTER, 3)).tolist()
        lamps.append(Lamp(position=(x, y, z), size=size, irradiance=float(strength * irradiance)))
    return tuple(lamps)


def _environment(rng: np.random.Generator, manifest: Manifest, hdris: Sequence[Asset]) -> Environment:
    return Environment(
        hdri_id=_pick(rng, hdris).id,
        turn_rad=float(rng.uniform(0, 2 * np.pi)),
        radiance=float(_MEAN_RADIANCE * rng.uniform(*manifest.light.strength)),
    )


def _window(rng: np.random.Generator) -> Window:
    return Window(
        u=float(rng.random()), v=float(rng.random()), scale=float(rng.uniform(0.6, 1.0)), flip=bool(rng.random() < 0.5)
    )


def sample_key(category: str, index: int) -> str:
    """The key of a sample in every stage's shards. It holds no dot: WebDataset splits names at the first one."""
    return f"{category}-{index:06d}"


def spec(manifest: Manifest, inventory: Inventory, category: str, index: int) -> RenderSpec:
    """The resolved sample `index` of `category`."""
    viewpoint = _viewpoint(manifest, category, index)
    height, width = manifest.camera.image_hw
    light = stream(manifest, Stream.LIGHT, category, index)
    background = stream(manifest, Stream.BACKGROUND, category, index)
    colour = _pick(stream(manifest, Stream.COLOUR, category, index), manifest.stylize.colours)
    surface = stream(manifest, Stream.SURFACE, category, index)
    textures = [texture.id for texture in inventory.textures] or [""]
    hdri_lit = manifest.light.kind == "hdri"
    return RenderSpec(
        key=sample_key(category, index),
        category=category,
        index=index,
        cad_id=_pick(stream(manifest, Stream.CAD, category, index), inventory.cads[category]).id,
        viewpoint=viewpoint,
        camera=Camera(
            focal_px=manifest.camera.focal_px, principal_px=(width / 2, height / 2), image_hw=(height, width)
        ),
        texture_id=_pick(stream(manifest, Stream.TEXTURE, category, index), textures),
        roughness=float(surface.uniform(*manifest.texture.roughness)),
        metallic=float(surface.uniform(*manifest.texture.metallic)),
        lamps=() if hdri_lit else _lamps(light, manifest, viewpoint),
        environment=_environment(light, manifest, inventory.hdris) if hdri_lit else None,
        background_id=_pick(background, inventory.backgrounds).id,
        background_window=_window(background),
        colour=colour,
        prompt=manifest.stylize.prompt.format(colour=colour, category=category),
        stylize_seed=int(stream(manifest, Stream.STYLIZE, category, index).integers(2**31)),
        render_seed=int(stream(manifest, Stream.RENDER, category, index).integers(2**31)),
    )
