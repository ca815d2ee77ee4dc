"""COCO: boxes, masks as run-length codes, and keypoints.

OUT/images/<split>/<key>.jpg, OUT/annotations/<split>.json. Boxes are continuous; keypoints are, as COCO has them, in
pixels counted from the first one's centre: half a pixel less than the labels'. Beyond the format every annotation
holds `cam_T_obj`, `focal_px`, `principal_px` and `cad_id`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.categories import CATEGORIES, KEYPOINTS
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


def _keypoints(labels: dict[str, Any]) -> dict[str, Any]:
    """Return x, y and visibility of the category's keypoints; zeros for those outside the frame and those a model
    lacks."""
    points = zip(labels["keypoint_names"], labels["keypoints_xy"], labels["keypoints_visibility"], strict=True)
    known = {name: (x - 0.5, y - 0.5, seen) for name, (x, y), seen in points if seen != OUTSIDE}
    triples = [known.get(name, (0.0, 0.0, 0)) for name in KEYPOINTS[labels["category"]]]
    return {"keypoints": [number for triple in triples for number in triple], "num_keypoints": len(known)}


def _annotation(shot: Shot, number: int) -> dict[str, Any]:
    labels, (height, width) = shot.labels, shot.mask.shape
    x0, y0, x1, y1 = mask_box(shot.mask)
    return {
        "id": number,
        "image_id": number,
        "category_id": CATEGORIES.index(labels["category"]) + 1,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(np.count_nonzero(shot.mask)),
        "iscrowd": 0,
        "segmentation": {"size": [height, width], "counts": run_lengths(shot.mask)},
        **(_keypoints(labels) if "keypoint_names" in labels else {}),
        **{name: labels[name] for name in _POSE},
    }


def _category(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "supercategory": "object", "keypoints": list(KEYPOINTS[name]), "skeleton": []}


def write(source: ExportInput, out: Path, on_sample: Callable[[], None]) -> None:
    """Write a run or dataset as COCO."""
    for split, shards in source.splits.items():
        images, annotations = [], []
        for number, shot in enumerate(shots(shards), start=1):
            name = f"{shot.key}.{shot.picture}"
            write_new(out / "images" / split / name, shot.members[shot.picture])
            height, width = shot.labels["image_hw"]
            images.append({"id": number, "file_name": name, "height": height, "width": width})
            annotations.append(_annotation(shot, number))
            on_sample()
        content = {
            "info": {"description": f"{source.name} {split}", "version": "1"},
            "licenses": [],
            "categories": [_category(number, name) for number, name in enumerate(CATEGORIES, start=1)],
            "images": images,
            "annotations": annotations,
        }
        write_bytes(out / "annotations" / f"{split}.json", json.dumps(content, allow_nan=False).encode())
