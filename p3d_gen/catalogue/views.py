"""A CAD model as the labels see it: from four sides and above, with its front marked. Pure numpy, no Blender."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from p3d_gen.core.geometry import cam_T_obj, project, transform
from p3d_gen.core.lettering import font
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.types import Array, Camera, Picture, Viewpoint

SIDE_PX = 280
_FINE = 2  # pixels per pixel and side, before they are averaged
_DISTANCE = 9.0  # of the camera, in box diagonals
_FILL = 0.43  # the farthest point from the middle of a view, in widths of it
_ARROW = 0.17  # length beyond the box
_ELEVATION_DEG = 14.0
_GROUND, _SHADE, _INK = (246, 246, 244), (222, 222, 218), (40, 40, 44)
_FRONT, _AXES = (226, 150, 0), ((214, 48, 49), (39, 158, 70), (42, 102, 224))
_PARTS = np.array(
    [
        (168, 178, 190),
        (198, 150, 122),
        (128, 168, 146),
        (186, 170, 118),
        (140, 148, 190),
        (188, 138, 160),
        (120, 160, 176),
        (166, 160, 150),
    ],
    float,
)
_LIGHT = np.array([-0.45, -0.75, -1.0]) / np.linalg.norm([-0.45, -0.75, -1.0])
_CREASE, _STEP = 0.55, 0.02  # cosine between neighbours' normals, and jump in depth, that are drawn as lines


@dataclass(frozen=True, kw_only=True)
class Look:
    """One direction from which a model is drawn."""

    title: str
    azimuth_deg: float
    elevation_deg: float


LOOKS = (
    Look(title="azimuth 0: front", azimuth_deg=0.0, elevation_deg=_ELEVATION_DEG),
    Look(title="azimuth 90: its left", azimuth_deg=90.0, elevation_deg=_ELEVATION_DEG),
    Look(title="azimuth 180: back", azimuth_deg=180.0, elevation_deg=_ELEVATION_DEG),
    Look(title="azimuth 270: its right", azimuth_deg=270.0, elevation_deg=_ELEVATION_DEG),
    Look(title="from above", azimuth_deg=0.0, elevation_deg=90.0),
)


def _pose(look: Look) -> Array:
    return cam_T_obj(
        Viewpoint(
            azimuth_rad=float(np.radians(look.azimuth_deg)),
            elevation_rad=float(np.radians(look.elevation_deg)),
            theta_rad=0.0,
            distance=_DISTANCE,
        )
    )


def _box_with_arrow(vertices: Array) -> Array:
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True)), axis=-1).reshape(-1, 3)
    return np.vstack([corners, [(0.0, low[1] - _ARROW, low[2])]])


def _camera(vertices: Array, side: int) -> Camera:
    """Return the camera of all views: at the distance and focal length at which the box and its arrow fit into each."""
    unit = Camera(focal_px=1.0, principal_px=(0.0, 0.0), image_hw=(side, side))
    points = _box_with_arrow(vertices)
    reach = max(float(np.abs(project(transform(_pose(look), points), unit)).max()) for look in LOOKS)
    return Camera(focal_px=_FILL * side / reach, principal_px=(side / 2, side * 0.52), image_hw=(side, side))


def _lines(depth: Array, normals: Array) -> NDArray[np.bool_]:
    """Return a mask (H, W) of the pixels at outlines and creases."""
    drawn = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            other, turned = np.roll(depth, step, axis), np.roll(normals, step, axis)
            behind = (depth > 0) & ((other == 0) | (other > depth + _STEP))
            bent = (depth > 0) & (other > 0) & ((normals * turned).sum(-1) < _CREASE) & (step > 0)
            drawn |= behind | bent
    return drawn


def _shaded(
    vertices: Array, faces: NDArray[np.int32], parts: NDArray[np.uint8], pose: Array, camera: Camera
) -> Picture:
    """Return a picture (H, W, 4) of a mesh in the colours of its parts; alpha 0 where nothing is."""
    depth, triangle = ray_cast(vertices, faces, pose, camera)
    seen = np.unique(triangle[triangle >= 0])
    a, b, c = transform(pose, vertices)[faces[seen]].transpose(1, 0, 2)
    facing = np.cross(b - a, c - a)
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
    facing *= np.where((facing * (a + b + c)).sum(1, keepdims=True) > 0, -1.0, 1.0)  # towards the camera
    number = np.searchsorted(seen, np.maximum(triangle, 0)).clip(max=max(len(seen) - 1, 0))
    normals = np.where((triangle >= 0)[..., None], facing[number], 0.0) if len(seen) else np.zeros((*depth.shape, 3))
    light = 0.42 + 0.58 * np.clip(normals @ _LIGHT, 0, 1)
    colour = _PARTS[parts[np.maximum(triangle, 0)] % len(_PARTS)] * light[..., None] * 1.16
    colour[_lines(depth, normals)] *= 0.45
    alpha = np.where(triangle >= 0, 255.0, 0.0)
    return np.dstack([np.clip(colour, 0, 255), alpha]).astype(np.uint8)


def _dashes(start: Array, end: Array, count: int) -> list[tuple[Array, Array]]:
    steps = [start + (end - start) * share for share in np.linspace(0, 1, 2 * count)]
    return [pair for number, pair in enumerate(pairwise(steps)) if number % 2 == 0]


def _path(draw: ImageDraw.ImageDraw, points: Array, colour: tuple[int, int, int], width: int) -> None:
    draw.line([(float(x), float(y)) for x, y in points], fill=colour, width=width, joint="curve")


def _draw_floor(draw: ImageDraw.ImageDraw, low: Array, high: Array, pose: Array, camera: Camera) -> None:
    """Draw the base of the box, its front edge, and the arrow that leads from there to the front."""
    (x0, y0, z), (x1, y1, _) = low, high
    corners = np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)])
    head = y0 - _ARROW
    arrow = np.array([(0, y0, z), (0, head, z), (-0.04, head + 0.06, z), (0.04, head + 0.06, z)])
    base, arrow = project(transform(pose, corners), camera), project(transform(pose, arrow), camera)
    draw.polygon([(float(x), float(y)) for x, y in base], fill=_SHADE)
    for side in (1, 2, 3):
        for start, end in _dashes(base[side], base[(side + 1) % 4], 12):
            _path(draw, np.array([start, end]), (150, 150, 150), 2)
    _path(draw, base[[0, 1]], _FRONT, 6)
    _path(draw, arrow[[0, 1]], _FRONT, 7)
    draw.polygon([(float(x), float(y)) for x, y in arrow[[1, 2, 3]]], fill=_FRONT)


def _draw_axes(draw: ImageDraw.ImageDraw, pose: Array, side: int) -> None:
    """Draw the directions of the object's axes in the upper right corner, the nearest to the camera last."""
    centre, reach = np.array([0.9 * side, 0.1 * side]), 0.055 * side
    for axis in sorted(range(3), key=lambda axis: -pose[2, axis]):
        tip = centre + reach * pose[:2, axis]
        _path(draw, np.array([centre, tip]), _AXES[axis], 5)
        x, y = centre + 1.45 * reach * pose[:2, axis]
        if np.linalg.norm(pose[:2, axis]) > 0.5:
            draw.text((x, y), "xyz"[axis], fill=_AXES[axis], font=font(11 * _FINE), anchor="mm")


def draw_look(vertices: Array, faces: NDArray[np.int32], parts: NDArray[np.uint8], look: Look) -> Picture:
    """Draw a prepared model from one direction: (SIDE_PX, SIDE_PX, 3).

    vertices: (V, 3) in object axes. faces: (F, 3). parts: (F,), which give the colours.
    """
    side = SIDE_PX * _FINE
    pose, camera = _pose(look), _camera(vertices, side)
    canvas = Image.new("RGB", (side, side), _GROUND)
    draw = ImageDraw.Draw(canvas)
    _draw_floor(draw, vertices.min(axis=0), vertices.max(axis=0), pose, camera)
    model = Image.fromarray(_shaded(vertices, faces, parts, pose, camera), "RGBA")
    canvas.paste(model, (0, 0), model)
    _draw_axes(draw, pose, side)
    draw.text((0.03 * side, 0.03 * side), look.title, fill=_INK, font=font(12.5 * _FINE))
    return np.asarray(canvas.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX))


def draw_views(vertices: Array, faces: NDArray[np.int32], parts: NDArray[np.uint8]) -> Picture:
    """Draw a prepared model from all directions of `LOOKS`, side by side: (SIDE_PX, W, 3). Arguments as `draw_look`."""
    return np.hstack([draw_look(vertices, faces, parts, look) for look in LOOKS])
