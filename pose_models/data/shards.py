"""Samples from the WebDataset shards that `p3dgen pack` writes, on disks or under URLs: in order, or any of them."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from p3d_gen.core.digest import digest
from p3d_gen.core.errors import ConfigError, DataError
from p3d_gen.core.pictures import decode_picture
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.remote import answers_ranges, is_remote, place, remote_errors
from p3d_gen.run.shards import StoredSample, list_samples, tar_errors
from pose_models.data.checksums import checked_sha256
from pose_models.data.sample import Image, PoseSample

_PICTURES = ("png", "jpg")
_MASK, _OCCLUDER, _JSON = "mask.png", "occluders.png", "json"
_READ = (*_PICTURES, _MASK, _OCCLUDER, _JSON)
_LABELS = ("category", "cad_id", "cam_T_obj", "focal_px", "principal_px", "image_hw")
_ENDS = (b"\xff\xd9", b"IEND\xaeB`\x82")  # of JPEG and PNG
_READERS = 4
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NAME = re.compile(r"(.+)-\d+\.tar")


def _expanded(address: str) -> list[str]:
    """Write out the ranges of numbers in an address: car-{00000..00003}.tar stands for four."""
    match = _RANGE.search(address)
    if not match:
        return [address]
    head, tail, width = address[: match.start()], address[match.end() :], len(match[1])
    numbers = range(int(match[1]), int(match[2]) + 1)
    return [each for number in numbers for each in _expanded(f"{head}{number:0{width}d}{tail}")]


def _tars(address: str) -> list[Path]:
    """List the tars of a run, of a folder or of a pattern, and of a single one itself."""
    path = place(address)
    with remote_errors(path):
        if is_remote(path) and path.suffix == ".tar" and "*" not in path.name:
            return [path]  # reading it shows if it is there
        if path.is_dir():
            folder = path / "shards" if (path / "shards").is_dir() else path
            return sorted(folder.glob("*-*.tar"))
        if is_remote(path):
            return sorted(path.parent.glob(path.name)) if "*" in path.name else []
        return sorted(map(Path, glob.glob(address)))  # noqa: PTH207  an absolute pattern


def _below(shards: str) -> str:
    """Name the folders in a folder that hold tars, such as the splits of a dataset; "" if there are none."""
    folder = place(shards)
    tars = () if is_remote(folder) else folder.glob("*/*-*.tar")
    folders = sorted({path.parent for path in tars})
    return f", but {' and '.join(map(str, folders))} do: name one" if folders else ""


def _named(shards: str) -> list[Path]:
    """List the tars that `shards` stands for. DataError if there are none."""
    paths = [path for address in _expanded(shards) for path in _tars(address)]
    if paths:
        return paths
    if not any(sign in shards for sign in "*?[{") and not place(shards).exists():
        reason = f"{shards} does not exist"
    else:
        reason = f"{shards} holds no CATEGORY-NNNNN.tar{_below(shards)}"
    raise DataError(
        f"{reason}: give a run, a folder of shards, a shard, or several as in 'runs/x/shards/car-*.tar' or "
        "'https://host/x/shards/car-{00000..00009}.tar'"
    )


def shard_paths(shards: str, category: str) -> list[Path]:
    """Return the shards of a category in order.

    shards: a run folder, a folder of shards, a shard, or a pattern of shards with * or {00000..00009}; each at a path
    or URL. A shard that a pattern names is taken for any category if its name tells none.
    DataError if there are none, naming the categories that are there.
    """
    paths = _named(shards)
    chosen = [path for path in paths if path.name.startswith(f"{category}-") or not _NAME.fullmatch(path.name)]
    if not chosen:
        raise DataError(
            f"{shards} holds no {category}-*.tar; categories found there: {', '.join(shard_categories(shards))}"
        )
    return chosen


def shard_categories(shards: str) -> list[str]:
    """Return the categories that the names of shards tell, in order. shards, and errors: see `shard_paths`."""
    return sorted({match[1] for path in _named(shards) if (match := _NAME.fullmatch(path.name))})


def shard_entries(path: Path, check: bool = True) -> list[StoredSample]:
    """Return the samples of one shard in order; of a server that sends whole files only, with what a training reads.

    check: compare a shard on a disk with the checksum that was recorded of it. DataError naming the shard if it is cut
    or changed, or a sample incomplete.
    """
    if check and not is_remote(path):
        checked_sha256(path)
    with tar_errors(path):
        hold = () if answers_ranges(path) else _READ
    entries = list(list_samples(path, hold))
    for entry in entries:
        missing = [name for name in (_MASK, _JSON) if name not in entry.places]
        missing += [] if any(name in entry.places for name in _PICTURES) else ["jpg"]
        if missing:
            raise DataError(f"sample {entry.key} in shard {path} lacks {', '.join(missing)}: pack it again")
    return entries


def entry_labels(entry: StoredSample) -> dict[str, Any]:
    """Return the labels of a sample. DataError naming shard and key if they cannot be read or lack one."""
    return _labels(entry, entry.read(_JSON)[_JSON])


def _labels(entry: StoredSample, content: bytes) -> dict[str, Any]:
    where = f"sample {entry.key} in shard {entry.shard}"
    try:
        labels: dict[str, Any] = json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: unreadable JSON: {error}") from error
    if missing := [name for name in _LABELS if name not in labels]:
        raise DataError(f"{where}: its JSON lacks {', '.join(missing)}")
    return labels


def read_shard(path: Path, check: bool = True) -> Iterator[PoseSample]:
    """Yield the decoded samples of one shard in order; check, and errors, as of `shard_entries` and `decode`."""
    for entry in shard_entries(path, check):
        yield decode(entry)


class ShardSamples(Sequence[PoseSample]):
    """The samples of many shards, each read and decoded when it is asked for.

    identity: by name the checksum of each shard, or under a URL that of the places of its samples.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """List the samples of the shards, and compare checksums; errors as `shard_entries`."""
        with ThreadPoolExecutor(_READERS) as pool:
            sums = list(pool.map(lambda path: "" if is_remote(path) else checked_sha256(path), paths))
        self.entries: list[StoredSample] = []
        self.identity: dict[str, str] = {}
        for path, sha256 in zip(paths, sums, strict=True):
            entries = shard_entries(path, check=False)
            self.entries += entries
            name = path.name if path.name not in self.identity else f"{path.parent.parent.name}/{path.name}"
            self.identity[name] = sha256 or digest([[entry.key, entry.places] for entry in entries])

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.entries)

    def __getitem__(self, index: Any) -> Any:
        """Return the sample of a number."""
        return decode(self.entries[index])


def _decode_image(data: bytes, flag: int, name: str) -> Image:
    """Return the stored pixels, BGR or grey as `flag` says. OpenCV is fast, and silent if a picture is cut short."""
    if not data.endswith(_ENDS):
        decode_picture(data, name, upright=False)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION) if data else None
    if image is None:
        raise DataError(f"{name} is not a readable picture: pack the shard again")
    return np.asarray(image, dtype=np.uint8)


def decode(entry: StoredSample) -> PoseSample:
    """Return the pixels and labels of a sample. DataError naming shard and key if they do not fit together."""
    where = f"sample {entry.key} in shard {entry.shard}"
    picture = next(name for name in _PICTURES if name in entry.places)
    masks_there = [name for name in (_MASK, _OCCLUDER) if name in entry.places]
    members = entry.read(_JSON, picture, *masks_there)
    labels = _labels(entry, members[_JSON])
    bgr = _decode_image(members[picture], cv2.IMREAD_COLOR, f"{where}: its picture")
    image = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
    masks = {name: _decode_image(members[name], cv2.IMREAD_GRAYSCALE, f"{where}: its {name}") for name in masks_there}
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
        symmetry=_symmetry(labels, where),
    )


def _symmetry(labels: dict[str, Any], where: str) -> Symmetry | None:
    """Return the symmetry of the sample's own model, None for labels of older runs, which hold turns about z only."""
    try:
        return Symmetry.of_labels(labels) if "symmetries" in labels else None
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error
