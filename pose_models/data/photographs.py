"""Labelled photographs to train on, kept in memory encoded, with a camera where their source knows only the box."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from pose_models.data.sample import PoseSample, check_labelled
from pose_models.geometry import box_intrinsics

_QUALITY = 95


def with_camera(sample: PoseSample, outlines: Tensor, distance: float) -> PoseSample:
    """Fill in the translation and K of a sample if they are NaN.

    The object then stands on the optical axis at `distance`, and the CAD models' mean projected box, from `outlines`
    (C, N, 3), has its box's centre and area.
    """
    if np.isfinite(sample.K).all():
        return sample
    R = torch.from_numpy(sample.cam_T_obj[:3, :3])
    box = torch.tensor(sample.box_xyxy, dtype=torch.float64)
    K = box_intrinsics(R, outlines.double(), distance, box).numpy()
    axis = K[:2, 2] - box.view(2, 2).mean(0).numpy()
    focal = float(np.sqrt(K[0, 0] * K[1, 1]))
    K[:2, 2] = box.view(2, 2).mean(0).numpy() + axis * focal / np.diag(K)[:2]
    K[0, 0] = K[1, 1] = focal
    cam_T_obj = sample.cam_T_obj.copy()
    cam_T_obj[:3, 3] = 0.0, 0.0, distance
    return replace(sample, cam_T_obj=cam_T_obj, K=K)


def shrunk(sample: PoseSample, long_side: int) -> PoseSample:
    """Scale the sample so that its box is at most `long_side` pixels long; unchanged if it is smaller."""
    left, top, right, bottom = sample.box_xyxy
    height, width = sample.image.shape[:2]
    scale = min(1.0, long_side / max(right - left, bottom - top))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return sample
    factor = np.array([size[0] / width, size[1] / height])

    def resized(image: Any) -> Any:
        return None if image is None else cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    return replace(
        sample,
        image=resized(sample.image),
        mask=resized(sample.mask),
        occluder=resized(sample.occluder),
        K=np.diag([*factor, 1.0]) @ sample.K,
        box_xyxy=tuple((np.array(sample.box_xyxy) * np.tile(factor, 2)).tolist()),
    )


class _Digest:
    """The digest of samples as they were read: keys, pixels and labels."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def over(self, samples: Iterable[PoseSample]) -> Iterator[PoseSample]:
        """Hand the samples on."""
        for sample in samples:
            labels = repr((sample.key, sample.category, sample.image.shape, sample.box_xyxy))
            self._sha256.update(labels.encode() + sample.image.tobytes())
            self._sha256.update(sample.cam_T_obj.astype(np.float64).tobytes() + sample.K.astype(np.float64).tobytes())
            yield sample

    def hex(self) -> str:
        """Return the digest of those handed on."""
        return self._sha256.hexdigest()


class Encoded(Sequence[PoseSample]):
    """Samples in memory, their pictures as JPEG. identity: a digest of what was read."""

    def __init__(self, samples: Iterable[PoseSample]) -> None:
        """Keep the samples; masks and occluders stay as they are."""
        self._kept = []
        digest = _Digest()
        for sample in digest.over(samples):
            ok, data = cv2.imencode(".jpg", sample.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            assert ok
            self._kept.append((replace(sample, image=np.empty((0, 0, 3), np.uint8)), data))
        self.identity = digest.hex()

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._kept)

    def __getitem__(self, index: Any) -> Any:
        """Return the sample of a number, with its picture decoded."""
        sample, data = self._kept[index]
        return replace(sample, image=np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]))


class Photographs(Encoded):
    """Labelled photographs in memory, ready to be trained on."""

    def __init__(
        self, samples: Iterable[PoseSample], outlines: Mapping[str, Tensor], distance: float, long_side: int
    ) -> None:
        """Keep the samples `shrunk` to `long_side` and `with_camera`; outlines by category.

        DataError if one has no rotation.
        """
        read = _Digest()  # before its numbers depend on the versions of libraries
        known = (check_labelled(sample, "a training") for sample in read.over(samples))
        super().__init__(with_camera(shrunk(s, long_side), outlines[s.category], distance) for s in known)
        self.identity = read.hex()
