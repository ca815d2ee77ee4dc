"""Sampling: (manifest, inventory, category, index) -> RenderSpec. Pure: no I/O, the same numbers everywhere.

Every property draws from its own stream of `streams`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from p3d_gen.core.categories import CategoryDefinition, definition_of
from p3d_gen.core.geometry import camera_centre, random_rotation
from p3d_gen.core.types import (
    Backdrop,
    Camera,
    Environment,
    Framing,
    Lamp,
    Material,
    Occluder,
    RenderSpec,
    Sun,
    Truncation,
    Viewpoint,
    Window,
)
from p3d_gen.spec.camera import DISTANCE, CameraSection
from p3d_gen.spec.inventory import OCCLUDERS, Asset, Inventory
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.materials import plain, realistic
from p3d_gen.spec.scene_sections import Texture
from p3d_gen.spec.streams import Stream, pick, stream
from p3d_gen.spec.viewpoints import draw_viewpoint

# Irradiance and side length of the key, fill and back lamp. As the mean radiance of an environment, they are bright
# enough that a mid-grey object is rendered mid-grey.
_LAMPS = ((2.6, 2.0), (1.3, 3.0), (1.3, 2.0))
_LAMP_JITTER = 3.0
_MEAN_RADIANCE = 0.6
_SUN_IRRADIANCE, _SKY_RADIANCE = 3.5, 0.35
# Shares of the silhouette that the levels of the occluded benchmarks hide, slightly inside their bounds.
_LEVELS = {"L1": (0.22, 0.38), "L2": (0.42, 0.58), "L3": (0.62, 0.78)}
_OCCLUDER_VARIANTS = 1000


def _lamps(
    rng: np.random.Generator, manifest: Manifest, section: CameraSection, viewpoint: Viewpoint
) -> tuple[Lamp, ...]:
    if section.fill:
        viewpoint = replace(viewpoint, distance=DISTANCE)  # the lamps stay out of the object, however near the camera
    strength = rng.uniform(*manifest.light.strength)
    lamps = []
    for irradiance, size in _LAMPS:
        x, y, z = (camera_centre(viewpoint) + rng.uniform(-_LAMP_JITTER, _LAMP_JITTER, 3)).tolist()
        lamps.append(Lamp(position=(x, y, z), size=size, irradiance=float(strength * irradiance)))
    return tuple(lamps)


def _environment(rng: np.random.Generator, manifest: Manifest, hdris: Sequence[Asset]) -> Environment:
    return Environment(
        hdri_id=pick(rng, hdris).id,
        turn_rad=float(rng.uniform(0, 2 * np.pi)),
        radiance=float(_MEAN_RADIANCE * rng.uniform(*manifest.light.strength)),
    )


def _sun(rng: np.random.Generator, manifest: Manifest) -> Sun:
    strength = float(rng.uniform(*manifest.light.strength))
    return Sun(
        azimuth_rad=float(rng.uniform(0, 2 * np.pi)),
        elevation_rad=float(np.radians(rng.uniform(*manifest.light.sun_elevation_deg))),
        irradiance=_SUN_IRRADIANCE * strength,
        sky_radiance=_SKY_RADIANCE * strength,
    )


def _stretch(rng: np.random.Generator, manifest: Manifest) -> tuple[float, float, float]:
    most = manifest.cad.stretch
    x, y, z = rng.uniform(1 - most, 1 + most, 3).tolist()
    return x, y, z


def _materials(
    rng: np.random.Generator, texture: Texture, colour: str, definition: CategoryDefinition
) -> tuple[Material, ...]:
    if texture.kind == "native":
        return ()
    if texture.kind == "realistic":
        return realistic(rng, colour, definition)
    return (plain(rng, texture.roughness, texture.metallic),)


def _occluder(rng: np.random.Generator, manifest: Manifest, inventory: Inventory, category: str) -> Occluder | None:
    """Draw an occluder, of another category than the sample's if possible: it must not be taken for the object."""
    occlusion = manifest.occlusion
    if occlusion.level == "none" or rng.random() >= occlusion.probability:
        return None
    own = inventory.cads.get(OCCLUDERS, ())
    shape, cad_id = "", ""
    if own:
        cad_id = pick(rng, [cad for cad in own if not cad.id.startswith(f"{category}_")] or own).id
    else:
        shape = pick(rng, [name for name in occlusion.occluders if name != category] or occlusion.occluders)
    return Occluder(
        category=shape,
        cad_id=cad_id,
        variant=int(rng.integers(_OCCLUDER_VARIANTS)),
        turn=tuple(random_rotation(rng).ravel().tolist()),
        depth=float(rng.uniform(0.4, 0.6)),
        size=float(rng.uniform(0.5, 1.1)),
        direction_rad=float(rng.uniform(0, 2 * np.pi)),
        hides=float(rng.uniform(*_LEVELS[occlusion.level])),
        materials=realistic(rng, pick(rng, manifest.stylize.colours), definition_of(shape, {})),
    )


def _camera(manifest: Manifest, section: CameraSection, category: str, index: int) -> Camera:
    """Return the drawn camera; its focal length is 0 if that follows from fill and distance."""
    focal_px = section.fixed_focal_px
    if section.fov_deg:
        fov_deg = stream(manifest, Stream.FIELD_OF_VIEW, category, index).uniform(*section.fov_deg)
        focal_px = section.focal_of(float(fov_deg))
    return Camera(focal_px=focal_px or 0.0, principal_px=section.principal_px, image_hw=section.image_hw)


def _framing(manifest: Manifest, section: CameraSection, category: str, index: int) -> Framing | None:
    fits = manifest.cad.stretch > 0 and section.is_default
    if not (section.fill or section.offset or fits):
        return None
    fill = stream(manifest, Stream.FILL, category, index).uniform(*section.fill) if section.fill else 0.0
    right, down = stream(manifest, Stream.OFFSET, category, index).uniform(-section.offset, section.offset, 2).tolist()
    solved: Literal["focal", "distance", "fit", "none"] = "fit" if fits else "none"
    if section.fill:
        solved = "focal" if section.distance else "distance"
    return Framing(solved=solved, fill=float(fill), offset=(right, down))


def _truncation(rng: np.random.Generator, manifest: Manifest) -> Truncation | None:
    occlusion = manifest.occlusion
    if occlusion.truncation[1] == 0.0 or rng.random() >= occlusion.probability:
        return None
    return Truncation(direction_rad=float(rng.uniform(0, 2 * np.pi)), cuts=float(rng.uniform(*occlusion.truncation)))


def _window(rng: np.random.Generator) -> Window:
    return Window(
        u=float(rng.random()), v=float(rng.random()), scale=float(rng.uniform(0.6, 1.0)), flip=bool(rng.random() < 0.5)
    )


def sample_key(category: str, index: int) -> str:
    """Return the key of a sample in every stage's shards, without a dot: WebDataset splits names at the first one."""
    return f"{category}-{index:06d}"


def packed_key(manifest: Manifest, key: str, number: int) -> str:
    """Return the key of composite `number` of a render: the render's own for a single one, else with -b0, -b1, ..."""
    return key if manifest.background.per_render == 1 else f"{key}-b{number}"


def render_key(key: str) -> str:
    """Return the key of the render that a packed sample was made from: the inverse of `packed_key`."""
    return re.sub(r"-b\d+$", "", key)


def backdrop(manifest: Manifest, inventory: Inventory, category: str, index: int, number: int = 0) -> Backdrop:
    """Return the background of composite `number` of sample `index` of `category`."""
    light = None
    if manifest.background.draw == "environment":
        light = _environment(stream(manifest, Stream.LIGHT, category, index), manifest, inventory.hdris)
    if number:
        rng = stream(manifest, Stream.COMPOSITE, category, index, number)
    else:
        rng = stream(manifest, Stream.BACKGROUND, category, index)
    drawn = pick(rng, inventory.backgrounds_of(category)).id
    return Backdrop(background_id=light.hdri_id if light else drawn, window=_window(rng), environment=light)


def render_seed(manifest: Manifest, category: str, index: int) -> int:
    """Return the seed of Blender's noise in sample `index` of `category`."""
    return int(stream(manifest, Stream.RENDER, category, index).integers(2**31))


def spec(manifest: Manifest, inventory: Inventory, category: str, index: int) -> RenderSpec:
    """Return the resolved sample `index` of `category`."""
    definition = inventory.definition(category)
    camera = manifest.camera.of(definition)
    viewpoint = draw_viewpoint(manifest, inventory.viewpoints.get(category, ()), definition, index)
    light = stream(manifest, Stream.LIGHT, category, index)
    before = backdrop(manifest, inventory, category, index)
    colour = pick(stream(manifest, Stream.COLOUR, category, index), manifest.stylize.colours)
    textures = [texture.id for texture in inventory.textures] or [""]
    lit_by = manifest.light.kind
    return RenderSpec(
        key=sample_key(category, index),
        category=category,
        index=index,
        cad_id=pick(stream(manifest, Stream.CAD, category, index), inventory.cads[category]).id,
        stretch_xyz=_stretch(stream(manifest, Stream.STRETCH, category, index), manifest),
        viewpoint=viewpoint,
        camera=_camera(manifest, camera, category, index),
        framing=_framing(manifest, camera, category, index),
        truncation=_truncation(stream(manifest, Stream.TRUNCATION, category, index), manifest),
        occluder=_occluder(stream(manifest, Stream.OCCLUSION, category, index), manifest, inventory, category),
        texture_id=pick(stream(manifest, Stream.TEXTURE, category, index), textures),
        materials=_materials(stream(manifest, Stream.SURFACE, category, index), manifest.texture, colour, definition),
        lamps=_lamps(light, manifest, camera, viewpoint) if lit_by == "area" else (),
        environment=_environment(light, manifest, inventory.hdris) if lit_by == "hdri" else None,
        sun=_sun(light, manifest) if lit_by == "sun" else None,
        background_id=before.background_id,
        background_window=before.window,
        colour=colour,
        render_seed=render_seed(manifest, category, index),
    )
