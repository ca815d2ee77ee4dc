"""Something set in front of the object of an evaluation image, so that a wanted share of it is hidden.

The levels are those of Occluded-PASCAL3D+ and Occluded-OOD-CV: L1 hides 20 to 40 % of the object, L2 40 to 60 %, L3 60
to 80 %, counted on its mask, or on its box where no mask is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.folders import files_below
from p3d_gen.core.pictures import read_cutout
from p3d_gen.core.types import Array
from pose_models.data.sample import Image, PoseSample

LEVELS: dict[str, tuple[float, float]] = {"L1": (0.2, 0.4), "L2": (0.4, 0.6), "L3": (0.6, 0.8)}
_SIDE = 256
_TRIES = 20
_STEPS = 24
_MARGIN = 0.02


class Occluders(Protocol):
    """A source of occluders."""

    def draw(self, rng: np.random.Generator) -> Image:
        """Draw a picture (h, w, 4) RGBA of one occluder, with all draws from `rng`."""


class DrawnOccluders:
    """Superellipses, from diamonds over discs to near rectangles, with stripes, checks or blots on them and light from
    one side: the default, which needs no files."""

    def draw(self, rng: np.random.Generator) -> Image:
        """Draw one of them, (256, 256, 4)."""
        power, aspect = math.exp(rng.uniform(math.log(1.2), math.log(8.0))), rng.uniform(0.5, 1.0)
        axis = (np.arange(_SIDE) + 0.5) / _SIDE * 2 - 1
        x, y = np.meshgrid(axis, axis)
        inside = np.abs(x) ** power + np.abs(y / aspect) ** power <= 1
        light = 1 + 0.35 * (x * math.cos(angle := rng.uniform(0, 2 * math.pi)) + y * math.sin(angle))
        colour = self._pattern(x, y, rng) * light[..., None]
        out = np.zeros((_SIDE, _SIDE, 4), np.uint8)
        out[..., :3] = np.clip(colour, 0, 255)
        out[..., 3] = np.where(inside, 255, 0)
        return out

    @staticmethod
    def _pattern(x: Array, y: Array, rng: np.random.Generator) -> Array:
        """Draw two colours (H, W, 3) in a random pattern."""
        first, second = rng.uniform(20, 235, (2, 3))
        angle, period = rng.uniform(0, math.pi), rng.uniform(0.1, 0.6)
        along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        kind = rng.integers(3)
        if kind == 0:
            choice = np.floor(along / period) % 2
        elif kind == 1:
            choice = (np.floor(along / period) + np.floor(across / period)) % 2
        else:
            blots = rng.random((8, 8)).astype(np.float32)
            choice = cv2.resize(blots, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC).astype(np.float64).clip(0, 1)
        return np.asarray(first + (second - first) * choice[..., None])


class FolderOccluders:
    """Cut-out pictures: the RGBA PNG files of a folder, searched recursively.

    ValueError naming the folder if it has none, or the file that cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        """Find the files below `folder`; each is read when it is drawn."""
        self._files = files_below(folder, (".png",)) if folder.is_dir() else []
        if not self._files:
            raise DataError(f"{folder} holds no PNG file: give a folder of cut-out pictures with transparency")

    def draw(self, rng: np.random.Generator) -> Image:
        """Read one of them, cut to its opaque part."""
        path = self._files[rng.integers(len(self._files))]
        picture = read_cutout(path)
        rows, columns = (np.flatnonzero((picture[..., 3] >= 128).any(axis=axis)) for axis in (1, 0))
        if len(rows) == 0:
            raise DataError(f"{path} is transparent everywhere: remove it")
        return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


@dataclass(frozen=True)
class _Placed:
    """An occluder with its place: centre in pixels, turn in radians, longer side relative to the common scale."""

    picture: Image
    centre: tuple[float, float]
    turn_rad: float
    size: float

    def alpha(self, scale: float, image_hw: tuple[int, int]) -> NDArray[Any]:
        """Return the occluder's opacity (H, W), 0..255, in the image's pixels; its longer side is `scale * size`
        pixels."""
        return self._warped(self.picture[..., 3], scale, image_hw)

    def layer(self, scale: float, image_hw: tuple[int, int]) -> NDArray[Any]:
        """Return the same as RGBA (H, W, 4), float, with the colours multiplied by the opacity."""
        planes = self.picture.astype(np.float32)
        planes[..., :3] *= planes[..., 3:] / 255
        zoom = scale * self.size / max(planes.shape[:2])
        if zoom < 0.75:  # shrinking averages areas first
            size = [max(1, round(side * zoom)) for side in planes.shape[1::-1]]
            planes = cv2.resize(planes, size, interpolation=cv2.INTER_AREA)
        return self._warped(planes, scale, image_hw)

    def _warped(self, planes: NDArray[Any], scale: float, image_hw: tuple[int, int]) -> NDArray[Any]:
        height, width = planes.shape[:2]
        zoom = scale * self.size / max(height, width)
        c, s = zoom * math.cos(self.turn_rad), zoom * math.sin(self.turn_rad)
        turn = np.array([[c, -s], [s, c]])
        # OpenCV puts whole numbers at pixel centres.
        offset = np.array(self.centre) - 0.5 - turn @ [(width - 1) / 2, (height - 1) / 2]
        return np.asarray(cv2.warpAffine(planes, np.hstack([turn, offset[:, None]]), image_hw[::-1]))


def _target(sample: PoseSample) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of the object: its mask, else its box inside the image."""
    if sample.mask is not None:
        return sample.mask >= 128
    height, width = sample.image.shape[:2]
    left, top, right, bottom = sample.box_xyxy
    inside = np.zeros((height, width), bool)
    inside[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = True
    return inside


def _hidden(placed: Sequence[_Placed], scale: float, target: NDArray[np.bool_]) -> NDArray[np.bool_]:
    hw = (target.shape[0], target.shape[1])
    return np.asarray(np.any([p.alpha(scale, hw) >= 128 for p in placed], axis=0))


def _fitting_scale(placed: Sequence[_Placed], target: NDArray[np.bool_], share: float) -> float | None:
    """Find by bisection the scale in pixels at which `placed` hides `share` of `target` within 2 %, or None."""
    low, high = 1.0, 4.0 * max(target.shape)
    for _ in range(_STEPS):
        scale = math.sqrt(low * high)
        hidden = float((_hidden(placed, scale, target) & target).sum() / target.sum())
        if abs(hidden - share) < _MARGIN:
            return scale
        low, high = (scale, high) if hidden < share else (low, scale)
    return None


def occluded(sample: PoseSample, level: str, occluders: Occluders, rng: np.random.Generator) -> PoseSample:
    """Paste one to three occluders over a sample's object; `subset` becomes the level, and all draws are from `rng`.

    The hidden part leaves `mask`, where there is one, and joins `occluder`; pose, K and box stay. ValueError for an
    unknown level, an object outside its image, or occluders that cannot hide so much.
    """
    if level not in LEVELS:
        raise ConfigError(f"unknown occlusion level {level!r}{did_you_mean(level, LEVELS)}")
    target = _target(sample)
    if not target.any():
        raise DataError(f"sample {sample.key}: its object has no pixel in the image, nothing can be hidden")
    least, most = LEVELS[level]
    rows, columns = target.nonzero()
    for _ in range(_TRIES):
        placed = []
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(rows))
            centre = float(columns[at]) + 0.5, float(rows[at]) + 0.5
            placed.append(_Placed(occluders.draw(rng), centre, rng.uniform(0, 2 * math.pi), rng.uniform(0.5, 1.0)))
        scale = _fitting_scale(placed, target, rng.uniform(least + _MARGIN, most - _MARGIN))
        if scale is not None:
            return _pasted(sample, placed, scale, level)
    raise DataError(
        f"sample {sample.key}: no occluder hides {least:.0%} to {most:.0%} of it in {_TRIES} tries; give solid ones"
    )


def _pasted(sample: PoseSample, placed: Sequence[_Placed], scale: float, level: str) -> PoseSample:
    hw = (sample.image.shape[0], sample.image.shape[1])
    image = sample.image.astype(np.float64)
    for occluder in placed:
        layer = occluder.layer(scale, hw)
        image = layer[..., :3] + (1 - layer[..., 3:] / 255) * image
    hidden = _hidden(placed, scale, np.zeros(hw, bool))
    before = np.zeros(hw, np.uint8) if sample.occluder is None else sample.occluder
    return replace(
        sample,
        image=image.clip(0, 255).round().astype(np.uint8),
        mask=None if sample.mask is None else np.where(hidden, np.uint8(0), sample.mask),
        occluder=np.where(hidden, np.uint8(255), before),
        subset=level,
    )
