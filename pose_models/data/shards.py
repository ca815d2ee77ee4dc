"""Samples from the WebDataset shards that `p3dgen pack` writes."""

from __future__ import annotations

import glob
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from p3d_gen.files import check_tar_ending
from pose_models.data.sample import Image, Sample

_MEMBERS = ("mask.png", "json")
_LABELS = ("category", "cad_id", "cam_T_obj", "focal_px", "principal_px", "image_hw")


@dataclass(frozen=True, kw_only=True)
class EncodedSample:
    """A sample as it lies in a shard: encoded picture (JPEG or PNG) and mask, parsed labels, its origin."""

    key: str
    shard: str
    picture: bytes
    mask_png: bytes
    labels: dict[str, Any]


def shard_paths(shards: str, category: str) -> list[Path]:
    """The shards of a category, sorted: `shards` is a folder with `<category>-*.tar`, or a glob of tar files.

    ValueError where there are none, naming the categories that the folder does hold.
    """
    folder = Path(shards)
    if folder.is_dir():
        paths = sorted(folder.glob(f"{category}-*.tar"))
        if not paths:
            found = sorted({p.name.rsplit("-", 1)[0] for p in folder.glob("*-*.tar")})
            raise ValueError(
                f"{folder} holds no {category}-*.tar; categories found there: {', '.join(found) or 'none'}"
            )
        return paths
    paths = sorted(Path(p) for p in glob.glob(shards))  # noqa: PTH207  an absolute pattern
    if not paths:
        raise ValueError(
            f"no shard matches {shards!r}: give a folder of shards or a glob such as 'runs/x/shards/car-*.tar'"
        )
    return paths


def read_shard(path: Path) -> Iterator[EncodedSample]:
    """The samples of one shard, in order. ValueError naming the shard where it is cut, or a sample incomplete."""
    from webdataset.tariterators import group_by_keys, tar_file_expander

    # Expander and grouping of `WebDataset(path, shardshuffle=False)`, on a file that is closed whatever happens.
    with path.open("rb") as stream:
        try:
            check_tar_ending(path)
            for raw in group_by_keys(tar_file_expander([{"url": str(path), "stream": stream}])):
                yield _encoded(raw, path)
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"cannot read shard {path}: {error}; pack it again") from error


def _encoded(raw: dict[str, Any], path: Path) -> EncodedSample:
    key = raw["__key__"]
    picture = "png" if "png" in raw else "jpg"
    missing = [name for name in (picture, *_MEMBERS) if name not in raw]
    if missing:
        raise ValueError(f"sample {key} in shard {path} lacks {', '.join(missing)}: pack it again")
    try:
        labels = json.loads(raw["json"])
    except json.JSONDecodeError as error:
        raise ValueError(f"sample {key} in shard {path}: unreadable JSON: {error}") from error
    missing = [name for name in _LABELS if name not in labels]
    if missing:
        raise ValueError(f"sample {key} in shard {path}: its JSON lacks {', '.join(missing)}")
    return EncodedSample(key=key, shard=str(path), picture=raw[picture], mask_png=raw["mask.png"], labels=labels)


def _decode_image(data: bytes, flag: int, what: str) -> Image:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    if image is None:
        raise ValueError(f"{what} is no readable image")
    return np.asarray(image, dtype=np.uint8)


def decode(encoded: EncodedSample) -> Sample:
    """Pixels and labels of a sample. ValueError naming shard and key where they do not fit together."""
    where = f"sample {encoded.key} in shard {encoded.shard}"
    labels = encoded.labels
    image = _decode_image(encoded.picture, cv2.IMREAD_COLOR, f"{where}: its picture")[..., ::-1]
    mask = _decode_image(encoded.mask_png, cv2.IMREAD_GRAYSCALE, f"{where}: its mask.png")
    if not image.shape[:2] == mask.shape == tuple(labels["image_hw"]):
        raise ValueError(f"{where}: image {image.shape[:2]}, mask {mask.shape}, image_hw {labels['image_hw']} differ")
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if len(rows) == 0:
        raise ValueError(f"{where}: its mask is empty")
    x, y = labels["principal_px"]
    f = labels["focal_px"]
    return Sample(
        key=encoded.key,
        category=labels["category"],
        image=np.ascontiguousarray(image),
        mask=mask,
        cam_T_obj=np.array(labels["cam_T_obj"], dtype=np.float64),
        K=np.array([[f, 0.0, x], [0.0, f, y], [0.0, 0.0, 1.0]]),
        box_xyxy=(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)),
    )
