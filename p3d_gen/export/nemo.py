"""The training data of NeMo and its followers: scaled and cropped pictures, and an npz with the labels of each.

The object seems 5 box diagonals away, in the middle of the picture.

OUT/<split>/images/<category>/<key>.JPEG, annotations/<category>/<key>.npz, lists/<category>/meshNN.txt by CAD model. If
samples hold cuboids also annotations3D_single/, lists3D_single/<category>/mesh01.txt and, next to the splits,
OUT/CAD_single/<category>/01.off. Angles are in radians. Keypoints (row, column) and boxes (top, bottom, left, right,
height, width of the picture) are in pixels of the crop, except `bbox`, `box_ori` and `principal`, which are those of
the whole picture. Crops are as large as the pictures, rounded up to multiples of 32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image, decode_npz, encode_jpeg, encode_npz
from p3d_gen.core.geometry import Crop, distance_crop, viewpoint_of
from p3d_gen.core.types import Array
from p3d_gen.dataset.folder import write_new
from p3d_gen.export.inputs import ExportInput, Shot, shots
from p3d_gen.export.pascal3d import cad_numbers, off
from p3d_gen.render.annotations import VISIBLE
from p3d_gen.run.files import write_bytes

DISTANCE = 5.0
_MULTIPLE = 32
_JPEG_QUALITY = 95


def crop_of(shot: Shot) -> Crop:
    """Return the scale and cut of a sample's picture."""
    height, width = shot.labels["image_hw"]
    out_hw = -(-height // _MULTIPLE) * _MULTIPLE, -(-width // _MULTIPLE) * _MULTIPLE
    distance = viewpoint_of(shot.pose).distance
    px, py = shot.labels["principal_px"]
    return distance_crop((height, width), (px, py), distance, DISTANCE, out_hw)


def cropped(picture: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3), scaled and cut; zeros beyond its edges."""
    scaled = cv2.resize(picture, crop.resized_hw[::-1])
    (height, width), (out_h, out_w) = crop.resized_hw, crop.out_hw
    y, x = max(crop.top, 0), max(crop.left, 0)
    part = scaled[y : min(crop.top + out_h, height), x : min(crop.left + out_w, width)]
    out = np.zeros((out_h, out_w, 3), np.uint8)
    out[y - crop.top :, x - crop.left :][: part.shape[0], : part.shape[1]] = part
    return out


def in_crop(pixels_xy: Array, shot: Shot, crop: Crop) -> Array:
    """Return points (N, 2), x then y, of the whole picture as points of the crop, row then column."""
    scale = np.array(crop.resized_hw) / shot.labels["image_hw"]
    return np.asarray(pixels_xy[:, ::-1] * scale - (crop.top, crop.left))


def _keypoints(shot: Shot, crop: Crop, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the category's keypoints in the crop, zeros if they are not seen; none if the samples have none."""
    labels = shot.labels
    if "keypoint_names" not in labels:
        return {"cropped_kp_list": np.zeros((0, 2)), "visible": np.zeros(0, np.int64)}
    points, visible = np.zeros((len(names), 2)), np.zeros(len(names), np.int64)
    in_pixels = in_crop(np.array(labels["keypoints_xy"]), shot, crop)
    for name, point, seen in zip(labels["keypoint_names"], in_pixels, labels["keypoints_visibility"], strict=True):
        if seen == VISIBLE:
            points[names.index(name)], visible[names.index(name)] = point, 1
    return {"cropped_kp_list": points, "visible": visible}


def _boxes(shot: Shot, crop: Crop) -> dict[str, NDArray[Any]]:
    """Return box: the crop in the scaled picture, padded; box_ori: the object's in the whole picture; box_obj: in the
    crop."""
    x0, y0, x1, y1 = shot.labels["bbox_xyxy"]
    (height, width), (out_h, out_w) = crop.resized_hw, crop.out_hw
    top, left = max(crop.top, 0), max(crop.left, 0)
    padded = max(height, crop.top + out_h) - min(crop.top, 0), max(width, crop.left + out_w) - min(crop.left, 0)
    corners = np.rint(in_crop(np.array([[x0, y0], [x1, y1]]), shot, crop))
    (r0, c0), (r1, c1) = np.clip(corners, 0, crop.out_hw).tolist()
    return {
        "box": np.array([top, top + out_h, left, left + out_w, *padded], np.float32),
        "box_ori": np.array([y0, y1, x0, x1, *shot.labels["image_hw"]], np.float32),
        "box_obj": np.array([r0, r1, c0, c1, *crop.out_hw], np.float32),
        "bbox": np.array([x0, y0, x1, y1]),
    }


def _hidden(shot: Shot) -> NDArray[np.bool_]:
    """Return the pixels of the whole picture where an occluder is seen."""
    if "occluders.png" in shot.members:
        return decode_image(shot.members["occluders.png"]) > 0
    return np.zeros(shot.labels["image_hw"], np.bool_)


def annotation(shot: Shot, crop: Crop, cad_index: int, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a sample's npz. names: of its category's keypoints."""
    labels, view = shot.labels, viewpoint_of(shot.pose)
    height, width = labels["image_hw"]
    numbers = {
        "azimuth": view.azimuth_rad,
        "elevation": view.elevation_rad,
        "theta": view.theta_rad,
        "distance": view.distance,
        "focal": 1.0,
        "viewport": labels["focal_px"],
        "height": height,
        "width": width,
        "cad_index": cad_index,
    }
    return {
        "name": np.array(shot.key),
        **_boxes(shot, crop),
        **_keypoints(shot, crop, names),
        "occ_mask": _hidden(shot),
        "principal": np.array(labels["principal_px"]),
        **{name: np.array(value) for name, value in numbers.items()},
    }


def annotation_3d(shot: Shot, crop: Crop, known: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a sample's npz whose keypoints are the vertices of the category's cuboid."""
    cuboid = decode_npz(shot.members["cuboid.npz"])
    return known | {
        "cropped_kp_list": in_crop(cuboid["pixels"].astype(np.float64), shot, crop),
        "visible": cuboid["visible"].astype(np.int64),
        "kp_weights": np.ones(len(cuboid["visible"])),
        "cad_index": np.array(1),
    }


def _write_cuboids(source: ExportInput, out: Path) -> None:
    """Write the cuboids of all categories, as meshes."""
    for path in sorted(source.cad.glob("*.cuboid.npz")):
        mesh = decode_npz(path.read_bytes())
        category = path.name.removesuffix(".cuboid.npz")
        write_new(out / "CAD_single" / category / "01.off", off(mesh["vertices"], mesh["faces"]))


def write(source: ExportInput, out: Path, on_sample: Callable[[], None]) -> None:
    """Write a run or dataset as NeMo's."""
    numbers: dict[str, dict[str, int]] = {}
    _write_cuboids(source, out)
    for split, shards in source.splits.items():
        root, lists = out / split, dict[Path, list[str]]()
        for shot in shots(shards):
            category, crop = shot.labels["category"], crop_of(shot)
            number = numbers.setdefault(category, cad_numbers(source.cad, category))[shot.labels["cad_id"]]
            picture = cropped(decode_image(shot.members[shot.picture]), crop)
            arrays = annotation(shot, crop, number, source.keypoint_names[category])
            write_new(root / "images" / category / f"{shot.key}.JPEG", encode_jpeg(picture, _JPEG_QUALITY))
            write_new(root / "annotations" / category / f"{shot.key}.npz", encode_npz(**arrays))
            lists.setdefault(root / "lists" / category / f"mesh{number:02d}.txt", []).append(shot.key)
            if "cuboid.npz" in shot.members:
                content = encode_npz(**annotation_3d(shot, crop, arrays))
                write_new(root / "annotations3D_single" / category / f"{shot.key}.npz", content)
                lists.setdefault(root / "lists3D_single" / category / "mesh01.txt", []).append(shot.key)
            on_sample()
        for path, keys in lists.items():
            write_bytes(path, "".join(f"{key}.JPEG\n" for key in keys).encode())
