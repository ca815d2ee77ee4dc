"""Mugs made by code: a category that nobody built in, whose handle half of the views do not show."""

import numpy as np
import trimesh


def mug(seed, handle=True):
    """A mug as a trimesh, z up: a closed cylinder, with a handle at +x, so that its left and right differ."""
    rng = np.random.default_rng([seed, 1])
    radius, height = rng.uniform(0.36, 0.46), rng.uniform(0.85, 1.15)
    body = trimesh.creation.cylinder(radius=radius, height=height, sections=48)
    if not handle:
        return body
    reach, thickness = rng.uniform(0.22, 0.3) * height, rng.uniform(0.05, 0.07)
    ring = trimesh.creation.torus(reach, thickness, major_sections=32, minor_sections=12)
    ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    ring.apply_translation([radius, 0, 0])
    return trimesh.util.concatenate([body, ring])


def write_mugs(folder, numbers, handle=True):
    """Write `folder`/mug_NN.ply; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        mug(number, handle).export(folder / f"mug_{number:02d}.ply")
    return folder
