"""The target images of an adaptation, behind a wall: no rotation and no mask comes through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import write_bytes
from pose_models.data.photographs import Encoded, shrunk
from pose_models.data.sample import PoseSample

TARGET_FILE = "target.jsonl"


def unlabelled(sample: PoseSample) -> PoseSample:
    """Remove from a sample everything that an adaptation must not know: its rotation becomes NaN, its masks None.

    Its category, box and, where a benchmark gives them at test time too, the object's translation and K stay.
    """
    pose = sample.cam_T_obj.copy()
    pose[:3, :3] = np.nan
    return replace(sample, cam_T_obj=pose, mask=None, occluder=None, symmetry=None)


def described(sample: PoseSample) -> dict[str, str]:
    """Describe an image for the record: its names and the sha256 of its pixels."""
    digest = hashlib.sha256(repr(sample.image.shape).encode() + sample.image.tobytes()).hexdigest()
    return {"key": sample.key, "subset": sample.subset, "category": sample.category, "pixels_sha256": digest}


def write_record(path: Path, record: Sequence[Mapping[str, str]]) -> None:
    """Write, one JSON object a line, which images were read. ValueError if the file lists others."""
    text = "".join(json.dumps(entry) + "\n" for entry in record)
    if path.is_file() and path.read_bytes() != text.encode():
        raise DataError(f"{path} lists other images than these: choose another --out, or give --overwrite")
    write_bytes(path, text.encode())


class Target(Encoded):
    """Unlabelled target images in memory, in the order they were read, and what they are for the record."""

    def __init__(self, samples: Iterable[PoseSample], long_side: int) -> None:
        """Keep the samples `unlabelled` and `shrunk` to `long_side`. ValueError if there is none."""
        self.record: list[dict[str, str]] = []
        super().__init__(shrunk(unlabelled(sample), long_side) for sample in self._recorded(samples))
        if not self.record:
            raise DataError("no target image: there is nothing to adapt to")

    def _recorded(self, samples: Iterable[PoseSample]) -> Iterator[PoseSample]:
        for sample in samples:
            self.record.append(described(sample))
            yield sample


def write_target(folder: Path, target: Target) -> None:
    """Write, one JSON object a line, which images were read and the sha256 of their pixels.

    ValueError if the folder's adaptation read other images before.
    """
    write_record(folder / TARGET_FILE, target.record)
