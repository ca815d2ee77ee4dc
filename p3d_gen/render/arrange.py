"""The places of object and occluder, and the truncation by the frame, solved by projection before rendering.

The place is searched on silhouettes of a small picture, which give shares to about a per cent. The labels are later
counted on the rendered masks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.silhouette import in_frame, silhouette
from p3d_gen.core.types import Array, Camera, Occluder, RenderSpec
from p3d_gen.render.framing import check_in_frame, framed

_SIDE_PX = 128
_STEPS = 16
_GROWTH = 1.25
_ROUNDS = 6
_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """The camera and the occluder's place.

    sample: its distance and focal length solved. cam_T_obj: the object's pose (4, 4).
    camera: the sample's, its principal point moved by the truncation.
    cam_T_occluder: the similarity (4, 4) that puts the occluder's shape in front of the camera; None without occluder.
    """

    sample: RenderSpec
    cam_T_obj: Array
    camera: Camera
    cam_T_occluder: Array | None


def _small(camera: Camera) -> Camera:
    """Return the camera of a smaller picture, whose silhouettes are cheap."""
    factor = min(1.0, _SIDE_PX / max(camera.image_hw))
    height, width = (round(side * factor) for side in camera.image_hw)
    x, y = camera.principal_px
    return Camera(focal_px=camera.focal_px * factor, principal_px=(x * factor, y * factor), image_hw=(height, width))


def _surroundings(camera: Camera) -> Camera:
    """Return the camera with a picture three times as high and wide, whose middle third is its own."""
    (x, y), (height, width) = camera.principal_px, camera.image_hw
    return replace(camera, principal_px=(x + width, y + height), image_hw=(3 * height, 3 * width))


def _bisect(share: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Return the place at which `share`, above `wanted` at `low` and not at `high`, crosses it."""
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) > wanted else (low, middle)
    return (low + high) / 2


def _truncated(sample: RenderSpec, pose: Array, vertices: Array, faces: NDArray[np.int32]) -> Camera:
    """Return the camera with its principal point moved until the frame cuts off the wanted share."""
    truncation = sample.truncation
    if truncation is None:
        return sample.camera
    height, width = sample.camera.image_hw
    row, column = np.nonzero(silhouette(vertices, faces, pose, _surroundings(sample.camera)))
    step = np.array([np.cos(truncation.direction_rad), np.sin(truncation.direction_rad)])

    def within(shift: float) -> float:
        moved = np.stack([column - width, row - height], axis=1) + 0.5 + shift * step
        return float(in_frame(moved, (height, width)).mean())

    shift = _bisect(within, 1 - truncation.cuts, 0.0, 2.0 * max(height, width))
    x, y = sample.camera.principal_px
    return replace(sample.camera, principal_px=(float(x + shift * step[0]), float(y + shift * step[1])))


def _similarity(occluder: Occluder, camera: Camera, pixel: Array, z: float, size: float) -> Array:
    """Return the occluder's similarity (4, 4): box diagonal `size`, centre seen at `pixel` (x, y) in the depth z."""
    matrix = np.eye(4)
    matrix[:3, :3] = size * np.array(occluder.turn).reshape(3, 3)
    matrix[:3, 3] = z * np.linalg.solve(camera.K, [*pixel, 1.0])
    return matrix


def _coverage(seen: NDArray[np.bool_], shadow: NDArray[np.bool_]) -> Array:
    """Return the share of the pixels `seen` (H, W) that a mask hides at every shift (y, x) from (-H, -W) to (H, W).

    shadow (3H, 3W): the mask; the picture is its middle third. The result is (2H + 1, 2W + 1).
    """
    from scipy.signal import fftconvolve  # half of the start-up time of all commands

    hidden = fftconvolve(shadow.astype(float), seen[::-1, ::-1].astype(float), "valid")[::-1, ::-1]
    return np.asarray(hidden / np.count_nonzero(seen))


def _shift_to(shares: Array, wanted: float, direction_rad: float | None) -> Array:
    """Return the shift (x, y) in pixels that hides the wanted share, given the shares of `_coverage`.

    Of several shifts the one nearest to the direction is taken, or the smallest if there is no direction.
    """
    height, width = (side // 2 for side in shares.shape)
    error = np.abs(shares - wanted)
    y, x = np.nonzero(error <= max(error.min(), _TOLERANCE / 2))
    y, x = y - height, x - width
    cost = (
        np.hypot(x, y) if direction_rad is None else np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - direction_rad))))
    )
    best = int(np.argmin(cost))
    return np.array([x[best], y[best]], dtype=float)


def _before(
    occluder: Occluder,
    shape: tuple[Array, NDArray[np.int64]],
    camera: Camera,
    seen: NDArray[np.bool_],
    distance: float,
    reach: float,
) -> Array:
    """Return the similarity (4, 4) by which the occluder hides the wanted share of the pixels `seen`.

    The occluder grows in front of their middle until some shift of it hides enough. Of the shifts that hide the wanted
    share, the one nearest to the drawn direction is taken. A shift turns the occluder a little to the camera, so the
    search is repeated from the new place. reach: distance from the object's centre to its farthest vertex.
    """
    small = _small(camera)
    height, width = small.image_hw
    row, column = np.nonzero(seen)
    pixel = np.array([column.mean(), row.mean()]) + 0.5
    z = occluder.depth * distance
    largest = 1.9 * min(z, distance - reach - z)  # it touches neither the camera nor the object
    size = min(occluder.size * occluder.depth, largest)

    def coverage() -> Array:
        place = _similarity(occluder, small, pixel, z, size)
        return _coverage(seen, silhouette(*shape, place, _surroundings(small)))

    shares = coverage()
    while shares.max() < occluder.hides:
        if size >= largest:
            raise ValueError(
                f"the occluder {occluder.address} hides at most {shares.max():.2f} of the object, but "
                f"{occluder.hides:.2f} is wanted: remove slender ones from occlusion.occluders or occlusion.source"
            )
        size = min(size * _GROWTH, largest)
        shares = coverage()
    pixel = pixel + _shift_to(shares, occluder.hides, occluder.direction_rad)
    for _ in range(_ROUNDS):
        shares = coverage()
        if abs(shares[height, width] - occluder.hides) < _TOLERANCE:
            break
        pixel = pixel + _shift_to(shares, occluder.hides, None)
    return _similarity(occluder, small, pixel, z, size)


def arrange(
    sample: RenderSpec,
    vertices: Array,
    faces: NDArray[np.int32],
    occluder_shape: tuple[Array, NDArray[np.int64]] | None,
    may_leave: bool = False,
) -> Arrangement:
    """Solve for the object's place in the frame, the camera and the occluder's place.

    ValueError if the object cannot stand in the frame, or the occluder not hide the wanted share.

    vertices (V, 3), faces (F, 3): the sample's object, stretched.
    occluder_shape: vertices and faces of the sample's occluder, if it has one.
    may_leave: see `RunFolder.objects_may_leave`.
    """
    place = framed(sample, vertices, may_leave)
    if not may_leave:
        check_in_frame(place, vertices)
    sample, pose = place.sample, place.cam_T_obj
    camera = _truncated(sample, pose, vertices, faces)
    if sample.occluder is None or occluder_shape is None:
        return Arrangement(sample=sample, cam_T_obj=pose, camera=camera, cam_T_occluder=None)
    seen = silhouette(vertices, faces, pose, _small(camera))
    if not seen.any():
        raise ValueError("the object covers no pixel of the frame")
    reach = float(np.linalg.norm(vertices, axis=1).max())
    before = _before(sample.occluder, occluder_shape, camera, seen, float(pose[2, 3]), reach)
    return Arrangement(sample=sample, cam_T_obj=pose, camera=camera, cam_T_occluder=before)
