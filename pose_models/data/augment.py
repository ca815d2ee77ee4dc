"""From a sample to the network's canvas: placement with the label, backgrounds, and changes of colour.

Placement is one similarity transform of the picture. A zoom and a shift change K; a turn of the picture about its
principal point is a turn of the camera about its axis, so pose and K stay exact (continuous pixel coordinates).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from p3d_gen.core.composite import composite, resized_part
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import DataError
from p3d_gen.core.folders import files_below
from p3d_gen.core.pictures import read_picture
from p3d_gen.core.types import Array
from p3d_gen.run.files import file_sha256
from pose_models.config import AugmentConfig
from pose_models.data.sample import Batch, Image, PoseSample

PAD_RGB = (124, 116, 104)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_BACKGROUND_SIDE = 512


def place(
    sample: PoseSample,
    canvas_hw: tuple[int, ...],
    fill: float,
    *,
    zoom: float = 1.0,
    shift_px: tuple[float, float] = (0.0, 0.0),
    roll_rad: float = 0.0,
) -> PoseSample:
    """Place a sample on a canvas, its box centred and as large as fits the share `fill` of the canvas.

    The box is then scaled by `zoom`, moved by `shift_px` and turned by `roll_rad`, clockwise in the picture. Uncovered
    pixels are `PAD_RGB`.
    """
    left, top, right, bottom = sample.box_xyxy
    height, width = canvas_hw
    scale = zoom * fill * min(width / (right - left), height / (bottom - top))
    c, s = scale * math.cos(roll_rad), scale * math.sin(roll_rad)
    turn = np.array([[c, -s], [s, c]])
    offset = np.array([width / 2, height / 2]) + shift_px - turn @ [(left + right) / 2, (top + bottom) / 2]
    K = sample.K.copy()
    K[0, 0] *= scale
    K[1, 1] *= scale
    K[:2, 2] = turn @ sample.K[:2, 2] + offset
    roll = np.eye(4)
    roll[:2, :2] = turn / scale
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]]) @ turn.T + offset
    return replace(
        sample,
        image=_warp(sample.image, turn, offset, scale, canvas_hw, PAD_RGB),
        mask=None if sample.mask is None else _warp(sample.mask, turn, offset, scale, canvas_hw, (0,)),
        occluder=None if sample.occluder is None else _warp(sample.occluder, turn, offset, scale, canvas_hw, (0,)),
        cam_T_obj=roll @ sample.cam_T_obj,
        K=K,
        box_xyxy=(*corners.min(0).tolist(), *corners.max(0).tolist()),
    )


def _warp(
    image: Image, turn: Array, offset: Array, scale: float, canvas_hw: tuple[int, ...], border: Sequence[int]
) -> Image:
    """Resample by p' = turn p + offset in continuous coordinates; shrinking averages areas first."""
    if scale < 0.75:
        height, width = image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        turn = turn @ np.diag([width / size[0], height / size[1]])
    # OpenCV puts whole numbers at pixel centres.
    by_index = np.hstack([turn, (turn @ [0.5, 0.5] + offset - 0.5)[:, None]])
    return np.asarray(
        cv2.warpAffine(
            image, by_index, canvas_hw[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
        )
    )


def mirrored(sample: PoseSample) -> PoseSample:
    """Mirror a sample horizontally, for objects symmetric in their x: as `p3d_gen.core.geometry.hflip`."""
    flip = np.diag([-1.0, 1.0, 1.0, 1.0])
    width = sample.image.shape[1]
    K = sample.K.copy()
    K[0, 2] = width - K[0, 2]
    left, top, right, bottom = sample.box_xyxy
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        mask=None if sample.mask is None else np.ascontiguousarray(sample.mask[:, ::-1]),
        occluder=None if sample.occluder is None else np.ascontiguousarray(sample.occluder[:, ::-1]),
        cam_T_obj=flip @ sample.cam_T_obj @ flip,
        K=K,
        box_xyxy=(width - right, top, width - left, bottom),
    )


class Backgrounds:
    """The pictures of a folder, searched recursively, kept in memory at a shorter side of at most 512 pixels.
    identity: a digest of their names and files.

    DataError naming the folder if it has none, or the file that cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        """Read every picture below `folder`."""
        files = files_below(folder, IMAGE_SUFFIXES) if folder.is_dir() else []
        if not files:
            raise DataError(f"--backgrounds {folder}: no picture ({', '.join(IMAGE_SUFFIXES)}) found in it")
        self._images = [self._read(path) for path in files]
        self.identity = digest([[path.relative_to(folder).as_posix(), file_sha256(path)] for path in files])

    @staticmethod
    def _read(path: Path) -> Image:
        image = read_picture(path, upright=True)
        shrink = _BACKGROUND_SIDE / min(image.shape[:2])
        if shrink < 1:
            image = np.asarray(cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)
        return image

    def draw(self, rng: np.random.Generator, hw: tuple[int, ...]) -> Image:
        """Draw a random part of a random picture, mirrored half of the time, resized to `hw`."""
        image = self._images[rng.integers(len(self._images))]
        height, width = image.shape[:2]
        share = rng.uniform(0.4, 1.0) * min(height / hw[0], width / hw[1])
        h, w = max(1, int(hw[0] * share)), max(1, int(hw[1] * share))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        if rng.random() < 0.5:
            image, left = np.ascontiguousarray(image[:, ::-1]), width - w - left
        return resized_part(image, (top, left), (h, w), hw, enlarging=cv2.INTER_AREA)


def augmented(
    sample: PoseSample,
    canvas_hw: tuple[int, ...],
    fill: float,
    config: AugmentConfig,
    backgrounds: Backgrounds | None,
    rng: np.random.Generator,
) -> PoseSample:
    """Make a random training view of a sample, its label changed with the picture; all draws are from `rng`."""
    if config.mirror and rng.random() < 0.5:
        sample = mirrored(sample)
    shift = rng.uniform(-config.shift, config.shift, 2) * canvas_hw[::-1]
    view = place(
        sample,
        canvas_hw,
        fill,
        zoom=math.exp(rng.uniform(-1, 1) * math.log(config.zoom)),
        shift_px=(float(shift[0]), float(shift[1])),
        roll_rad=math.radians(float(np.clip(rng.normal(0.0, config.roll_std_deg), -15, 15))),
    )
    image = view.image
    if backgrounds is not None and view.mask is not None and rng.random() < config.background:
        # In linear light, as p3dgen packs: soft edges of a training picture look like those of a rendered sample.
        image = composite(image, view.mask, backgrounds.draw(rng, canvas_hw), linear=True)
    whole, view = view.mask, replace(view, image=image)
    if rng.random() < config.occlusion:
        view = _occluded(view, backgrounds, rng)
    image = _recoloured(view.image, config, rng)
    if whole is not None and rng.random() < config.tight:
        image = _cropped_to_box(image, whole, rng)
    return replace(view, image=image)


def _occluded(sample: PoseSample, backgrounds: Backgrounds | None, rng: np.random.Generator) -> PoseSample:
    """Put an ellipse of another picture, or of one colour, in front of a part of the object's box."""
    height, width = sample.image.shape[:2]
    left, top, right, bottom = sample.box_xyxy
    size = np.array([right - left, bottom - top])
    centre = np.array([left, top]) + rng.uniform(0.0, 1.0, 2) * size
    axes = rng.uniform(0.1, 0.3, 2) * size
    patch = np.zeros((height, width), np.uint8)
    ellipse = (tuple(centre.tolist()), tuple((2 * axes).tolist()), float(rng.uniform(0, 180)))
    cv2.ellipse(patch, ellipse, 255, cv2.FILLED)
    if backgrounds is None:
        picture = np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), sample.image.shape)
    else:
        picture = backgrounds.draw(rng, (height, width))
    hidden = patch > 0
    return replace(
        sample,
        image=np.where(hidden[..., None], picture, sample.image),
        mask=None if sample.mask is None else np.where(hidden, np.uint8(0), sample.mask),
        occluder=patch if sample.occluder is None else np.maximum(sample.occluder, patch),
    )


def _cropped_to_box(image: Image, mask: Image, rng: np.random.Generator) -> Image:
    """Pad everything outside the mask's box, each side of which is moved by -2 to 4 % of the box's size."""
    out = np.empty_like(image)
    out[:] = PAD_RGB
    window = []
    for axis in (1, 0):
        covered = (mask >= 128).any(axis=axis).nonzero()[0]
        first, last = (int(covered[0]), int(covered[-1]) + 1) if len(covered) else (0, mask.shape[1 - axis])
        slack = rng.uniform(-0.02, 0.04, 2) * (last - first)
        window.append(slice(max(0, round(first - slack[0])), round(last + slack[1])))
    out[window[0], window[1]] = image[window[0], window[1]]
    return out


def _recoloured(image: Image, config: AugmentConfig, rng: np.random.Generator) -> Image:
    """Vary brightness, contrast, saturation, tint, grey, blur, resolution, noise and JPEG artefacts."""
    x = image.astype(np.float32)
    x *= rng.uniform(1 - config.colour, 1 + config.colour)
    grey = (x @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    x = grey + (x - grey) * rng.uniform(1 - config.colour, 1 + config.colour)
    x = (x - x.mean()) * rng.uniform(1 - config.colour, 1 + config.colour) + x.mean()
    x *= rng.uniform(1 - config.hue, 1 + config.hue, 3).astype(np.float32)
    if rng.random() < config.grey:
        x = np.repeat(x.mean(-1, keepdims=True), 3, axis=-1)
    if rng.random() < config.low_resolution:
        height, width = x.shape[:2]
        factor = rng.uniform(0.25, 0.8)
        small = cv2.resize(x, (int(width * factor), int(height * factor)), interpolation=cv2.INTER_AREA)
        x = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    if rng.random() < config.blur:
        x = cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.5)))
    if rng.random() < config.noise:
        x = x + rng.normal(0.0, rng.uniform(2, 10), x.shape).astype(np.float32)
    out = x.clip(0, 255).round().astype(np.uint8)
    if rng.random() < config.jpeg:
        _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        out = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return out


def collate(samples: Sequence[PoseSample]) -> Batch:
    """Collect samples of one canvas size in a batch of float32 tensors."""
    hw = samples[0].image.shape[:2]
    masks = [np.full(hw, np.nan, np.float32) if s.mask is None else s.mask / np.float32(255) for s in samples]
    occluders = [np.zeros(hw, bool) if s.occluder is None else s.occluder > 127 for s in samples]
    return Batch(
        image=torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2).float() / 255,
        mask=torch.from_numpy(np.stack(masks)),
        occluder=torch.from_numpy(np.stack(occluders)),
        cam_T_obj=torch.from_numpy(np.stack([s.cam_T_obj for s in samples])).float(),
        K=torch.from_numpy(np.stack([s.K for s in samples])).float(),
        box_xyxy=torch.tensor([s.box_xyxy for s in samples], dtype=torch.float32),
        category=[s.category for s in samples],
        key=[s.key for s in samples],
        subset=[s.subset for s in samples],
    )
