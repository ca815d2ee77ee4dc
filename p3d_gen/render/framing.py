"""The object's place in the frame: the focal length or distance that fills it, and the turn of the camera off it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from p3d_gen.core.geometry import cam_T_obj, project, transform
from p3d_gen.core.types import Array, Camera, RenderSpec

# Blender draws nothing that is nearer to the camera than this, in box diagonals.
NEAREST_DEPTH = 0.01
_FARTHEST = 1000.0
_STEPS = 60
_OVER_PX = 0.5


@dataclass(frozen=True, kw_only=True)
class Framed:
    """A sample whose distance and focal length are solved, and its pose (4, 4), off the optical axis if asked for."""

    sample: RenderSpec
    cam_T_obj: Array


def _box(vertices: Array, pose: Array, camera: Camera) -> Array:
    """Return the box [x0, y0, x1, y1] around the projected vertices (V, 3)."""
    pixels = project(transform(pose, vertices), camera)
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


def _rooms(camera: Camera) -> Array:
    """Return the ways [left, up, right, down] in pixels from the principal point to the edges of the frame."""
    (x, y), (height, width) = camera.principal_px, camera.image_hw
    return np.array([x, y, width - x, height - y])


def _filled(vertices: Array, pose: Array, camera: Camera) -> float:
    """Return the greatest share of the way from the principal point to an edge that the box takes."""
    reach = _box(vertices, pose, camera) - np.tile(camera.principal_px, 2)
    return float((reach * [-1, -1, 1, 1] / _rooms(camera)).max())


def _crossing(reached: Callable[[float], bool], low: float, high: float) -> float:
    """Return the place between `low`, where something is not reached, and `high`, where it is, from which on it is."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _solved(sample: RenderSpec, vertices: Array, may_leave: bool) -> RenderSpec:
    """Return the sample with the distance or the focal length by which its box takes the wanted share of the frame."""
    framing, view, camera = sample.framing, sample.viewpoint, sample.camera
    if framing is None or framing.solved == "none" or (framing.solved == "fit" and may_leave):
        return sample
    if framing.solved == "fit":
        excess = max(1.0, _filled(vertices, cam_T_obj(view), camera))
        return replace(sample, camera=replace(camera, focal_px=camera.focal_px / excess))
    if framing.solved == "focal":
        unit = replace(camera, focal_px=1.0)
        focal_px = framing.fill / _filled(vertices, cam_T_obj(view), unit)
        return replace(sample, camera=replace(camera, focal_px=focal_px))

    def fits(distance: float) -> bool:
        return _filled(vertices, cam_T_obj(replace(view, distance=distance)), camera) <= framing.fill

    nearest = NEAREST_DEPTH - float((vertices @ cam_T_obj(view)[2, :3]).min())
    return replace(sample, viewpoint=replace(view, distance=_crossing(fits, nearest, _FARTHEST)))


def _turned(pose: Array, camera: Camera, shift_px: Array) -> Array:
    """Return the pose after the least turn of the camera that moves the object's origin by `shift_px` (x, y)."""
    x, y = shift_px / camera.focal_px
    ray = np.array([x, y, 1.0]) / np.sqrt(x * x + y * y + 1.0)
    cross = np.array([[0.0, 0.0, ray[0]], [0.0, 0.0, ray[1]], [-ray[0], -ray[1], 0.0]])
    turn = np.eye(4)
    turn[:3, :3] += cross + cross @ cross / (1.0 + ray[2])
    return np.asarray(turn @ pose)


def _overhang(vertices: Array, pose: Array, camera: Camera) -> float:
    """Return by how many pixels the box around vertices leaves the frame; infinite if one lies behind the camera."""
    if transform(pose, vertices)[:, 2].min() < NEAREST_DEPTH:
        return np.inf
    x0, y0, x1, y1 = _box(vertices, pose, camera)
    height, width = camera.image_hw
    return float(max(-x0, -y0, x1 - width, y1 - height))


def _off_centre(vertices: Array, pose: Array, camera: Camera, offset: tuple[float, float]) -> Array:
    """Return the pose off the optical axis: by the shares `offset` of the free space, or less to stay in the frame."""
    height, width = camera.image_hw
    x0, y0, x1, y1 = _box(vertices, pose, camera)
    free = np.maximum([x0 if offset[0] < 0 else width - x1, y0 if offset[1] < 0 else height - y1], 0.0)
    shift_px = free * offset

    def leaves(share: float) -> bool:
        return _overhang(vertices, _turned(pose, camera, share * shift_px), camera) > 0

    share = _crossing(leaves, 0.0, 1.0) if leaves(1.0) else 1.0
    return _turned(pose, camera, share * shift_px)


def framed(sample: RenderSpec, vertices: Array, may_leave: bool = False) -> Framed:
    """Solve for the object's place in the frame, before truncation.

    vertices (V, 3): the sample's object, stretched, in object axes. may_leave: see `RunFolder.objects_may_leave`.
    ValueError if the camera is too near.
    """
    sample = _solved(sample, vertices, may_leave)
    camera, pose = sample.camera, cam_T_obj(sample.viewpoint)
    if transform(pose, vertices)[:, 2].min() < NEAREST_DEPTH:
        raise ValueError(
            f"the camera at distance {sample.viewpoint.distance:.3g} touches the object: raise camera.distance"
        )
    if sample.framing is not None and any(sample.framing.offset):
        pose = _off_centre(vertices, pose, camera, sample.framing.offset)
    return Framed(sample=sample, cam_T_obj=pose)


def check_in_frame(place: Framed, vertices: Array) -> None:
    """Raise ValueError if the object, vertices (V, 3), leaves the frame although no truncation was asked for."""
    over = _overhang(vertices, place.cam_T_obj, place.sample.camera)
    if place.sample.truncation is None and over > _OVER_PX:
        raise ValueError(
            f"the object leaves the frame by {over:.0f} pixels: give camera.fill, raise camera.distance, lower the "
            "focal length, or ask for occlusion.truncation"
        )
