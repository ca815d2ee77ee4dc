"""COCO: boxes, masks as run-length codes, and keypoints.

OUT/images/<split>/<key>.jpg, OUT/annotations/<split>.json. The built-in categories have the ids 1 to 12, one's own
follow in the order of their names; if there are only one's own, their ids begin at 1. Boxes are continuous; keypoints
are, as COCO has them, in pixels counted from the first one's centre: half a pixel less than the labels'. Beyond the
format every annotation holds `cam_T_obj`, `focal_px`, `principal_px` and `cad_id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.silhouette import mask_box
from p3d_gen.dataset.folder import write_new
from p3d_gen.export.inputs import ExportInput, Shot, shots
from p3d_gen.render.annotations import OUTSIDE
from p3d_gen.run.files import write_bytes

_POSE = ("cam_T_obj", "focal_px", "principal_px", "cad_id")


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of a mask's runs (H, W), column by column, of background first."""
    pixels = mask.ravel(order="F")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(pixels)) + 1, [pixels.size]])
    lengths: list[int] = np.diff(bounds).tolist()
    return [0, *lengths] if pixels[0] else lengths


def _keypoints(labels: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return x, y and visibility of the category's keypoints; zeros for those outside the frame and those a model
    lacks."""
    points = zip(labels["keypoint_names"], labels["keypoints_xy"], labels["keypoints_visibility"], strict=True)
    known = {name: (x - 0.5, y - 0.5, seen) for name, (x, y), seen in points if seen != OUTSIDE}
    triples = [known.get(name, (0.0, 0.0, 0)) for name in names]
    return {"keypoints": [number for triple in triples for number in triple], "num_keypoints": len(known)}


def _annotation(shot: Shot, number: int, ids: dict[str, int], names: Sequence[str]) -> dict[str, Any]:
    labels, (height, width) = shot.labels, shot.mask.shape
    x0, y0, x1, y1 = mask_box(shot.mask)
    return {
        "id": number,
        "image_id": number,
        "category_id": ids[labels["category"]],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(np.count_nonzero(shot.mask)),
        "iscrowd": 0,
        "segmentation": {"size": [height, width], "counts": run_lengths(shot.mask)},
        **(_keypoints(labels, names) if "keypoint_names" in labels else {}),
        **{name: labels[name] for name in _POSE},
    }


def _ids(categories: Iterable[str]) -> dict[str, int]:
    """Return the id of each category: all built-in ones first, if there is one of them, then one's own."""
    own = sorted(set(categories) - BUILTIN.keys())
    names = [*(BUILTIN if len(own) < len(set(categories)) else ()), *own]
    return {name: number for number, name in enumerate(names, start=1)}


def _category(number: int, name: str, keypoints: Sequence[str]) -> dict[str, Any]:
    return {"id": number, "name": name, "supercategory": "object", "keypoints": list(keypoints), "skeleton": []}


def write(source: ExportInput, out: Path, on_sample: Callable[[], None]) -> None:
    """Write a run or dataset as COCO."""
    ids = _ids(source.categories)
    names = {name: definition.keypoints for name, definition in BUILTIN.items()} | source.keypoint_names
    for split, shards in source.splits.items():
        images, annotations = [], []
        for number, shot in enumerate(shots(shards), start=1):
            name = f"{shot.key}.{shot.picture}"
            write_new(out / "images" / split / name, shot.members[shot.picture])
            height, width = shot.labels["image_hw"]
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            annotations.append(_annotation(shot, number, ids, names[shot.labels["category"]]))
            on_sample()
        content = {
            "info": {"description": f"{source.name} {split}", "version": "1"},
            "licenses": [],
            "categories": [_category(number, name, names[name]) for name, number in ids.items()],
            "images": images,
            "annotations": annotations,
        }
        write_bytes(out / "annotations" / f"{split}.json", json.dumps(content, allow_nan=False).encode())
