"""Samples from the WebDataset shards that `p3dgen pack` writes, one after the other or any of them at once."""

from __future__ import annotations

import glob
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import check_tar_ending
from pose_models.data.sample import Image, PoseSample

_PICTURES = ("png", "jpg")
_MASK, _OCCLUDER, _JSON = "mask.png", "occluders.png", "json"
_LABELS = ("category", "cad_id", "cam_T_obj", "focal_px", "principal_px", "image_hw")


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """Where a sample lies: its members' first byte and length in the tar file `shard`, by extension."""

    key: str
    shard: str
    members: dict[str, tuple[int, int]]

    def read(self, extension: str) -> bytes:
        """The bytes of a member."""
        offset, size = self.members[extension]
        handle = os.open(self.shard, os.O_RDONLY)
        try:
            return os.pread(handle, size, offset)
        finally:
            os.close(handle)

    def labels(self) -> dict[str, Any]:
        """The parsed labels. ValueError naming shard and key where they cannot be read or lack one."""
        where = f"sample {self.key} in shard {self.shard}"
        try:
            labels: dict[str, Any] = json.loads(self.read(_JSON))
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: unreadable JSON: {error}") from error
        if missing := [name for name in _LABELS if name not in labels]:
            raise DataError(f"{where}: its JSON lacks {', '.join(missing)}")
        return labels


def shard_paths(shards: str, category: str) -> list[Path]:
    """The shards of a category, sorted: `shards` is a folder with `<category>-*.tar`, or a glob of tar files.

    ValueError where there are none, naming the categories that the folder does hold.
    """
    folder = Path(shards)
    if folder.is_dir():
        paths = sorted(folder.glob(f"{category}-*.tar"))
        if not paths:
            found = shard_categories(folder)
            raise DataError(f"{folder} holds no {category}-*.tar; categories found there: {', '.join(found) or 'none'}")
        return paths
    paths = sorted(Path(p) for p in glob.glob(shards))  # noqa: PTH207  an absolute pattern
    if not paths:
        raise DataError(
            f"no shard matches {shards!r}: give a folder of shards or a glob such as 'runs/x/shards/car-*.tar'"
        )
    return paths


def shard_categories(folder: Path) -> list[str]:
    """The categories of the shards in a folder."""
    return sorted({path.name.rsplit("-", 1)[0] for path in folder.glob("*-*.tar")})


def shard_entries(path: Path) -> list[ShardEntry]:
    """The samples of one shard, in order. ValueError naming the shard where it is cut, or a sample incomplete."""
    from webdataset.tariterators import base_plus_ext

    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                key, extension = base_plus_ext(member.name)
                if member.isfile() and key is not None:
                    found.setdefault(key, {})[extension] = (member.offset_data, member.size)
        check_tar_ending(path)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise DataError(f"cannot read shard {path}: {error}; pack it again") from error
    for key, members in found.items():
        missing = [name for name in (_MASK, _JSON) if name not in members]
        missing += [] if any(name in members for name in _PICTURES) else ["jpg"]
        if missing:
            raise DataError(f"sample {key} in shard {path} lacks {', '.join(missing)}: pack it again")
    return [ShardEntry(key=key, shard=str(path), members=members) for key, members in found.items()]


def read_shard(path: Path) -> Iterator[PoseSample]:
    """The decoded samples of one shard, in order; errors as `shard_entries` and `decode`."""
    for entry in shard_entries(path):
        yield decode(entry)


class ShardSamples(Sequence[PoseSample]):
    """The samples of many shards, each read and decoded when it is asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """List the samples of the shards; errors as `shard_entries`."""
        self.entries = [entry for path in paths for entry in shard_entries(path)]

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.entries)

    def __getitem__(self, index: Any) -> Any:
        """The sample of a number."""
        return decode(self.entries[index])


def _decode_image(data: bytes, flag: int, what: str) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if image is None:
        raise DataError(f"{what} is no readable image")
    return np.asarray(image, dtype=np.uint8)


def decode(entry: ShardEntry) -> PoseSample:
    """Pixels and labels of a sample. ValueError naming shard and key where they do not fit together."""
    where = f"sample {entry.key} in shard {entry.shard}"
    labels = entry.labels()
    picture = next(name for name in _PICTURES if name in entry.members)
    bgr = _decode_image(entry.read(picture), cv2.IMREAD_COLOR, f"{where}: its picture")
    image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    masks = {
        name: _decode_image(entry.read(name), cv2.IMREAD_GRAYSCALE, f"{where}: its {name}")
        for name in (_MASK, _OCCLUDER)
        if name in entry.members
    }
    mask = masks[_MASK]
    shapes = {name: plane.shape for name, plane in masks.items()}
    if any(shape != tuple(labels["image_hw"]) for shape in (image.shape[:2], *shapes.values())):
        raise DataError(f"{where}: image {image.shape[:2]}, {shapes}, image_hw {labels['image_hw']} differ")
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if len(rows) == 0:
        raise DataError(f"{where}: its mask is empty")
    x, y = labels["principal_px"]
    f = labels["focal_px"]
    return PoseSample(
        key=entry.key,
        category=labels["category"],
        image=image,
        mask=mask,
        occluder=masks.get(_OCCLUDER),
        cam_T_obj=np.array(labels["cam_T_obj"], dtype=np.float64),
        K=np.array([[f, 0.0, x], [0.0, f, y], [0.0, 0.0, 1.0]]),
        box_xyxy=(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),
    )
