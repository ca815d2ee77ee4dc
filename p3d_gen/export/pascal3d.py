"""PASCAL3D+: its ImageNet part, which the tools of the benchmark and of its followers read.

OUT/Images/<category>_imagenet/<key>.JPEG, OUT/Annotations/<category>_imagenet/<key>.mat,
OUT/Image_sets/<category>_imagenet_<split>.txt, OUT/CAD/<category>/NN.off. The focal length is `viewport` pixels, as
`focal` is 1, and `px`, `py` is where the object's origin projects to, in continuous pixels as the labels'. One's own
categories stand beside the twelve of the benchmark, whose tools have to be told of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from p3d_gen.core.errors import RunError
from p3d_gen.core.geometry import viewpoint_of
from p3d_gen.dataset.folder import write_new
from p3d_gen.export.inputs import ExportInput, Shot, shots
from p3d_gen.render.annotations import HIDDEN, OUTSIDE, VISIBLE
from p3d_gen.run.cad_model import load_cad
from p3d_gen.run.files import write_bytes

_OFF_AXIS = 1e-5
_FIELD, _SHORT_FIELD = re.compile(r"[A-Za-z]\w{0,62}", re.ASCII), 31
# Visible, occluded by the object itself or another, outside the picture; and what cannot be told.
_STATUS = {VISIBLE: 1.0, HIDDEN: 2.0, OUTSIDE: 4.0}
_UNKNOWN = 5.0
_HEADER = b"MATLAB 5.0 MAT-file, written by p3dgen".ljust(116)  # scipy's holds the time


def off(vertices: np.ndarray[Any, Any], faces: np.ndarray[Any, Any]) -> bytes:
    """Return a triangle mesh as an OFF file."""
    lines = [f"{x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces.tolist()]
    return "\n".join(["OFF", f"{len(vertices)} {len(faces)} 0", *lines, ""]).encode()


def cad_numbers(cad: Path, category: str) -> dict[str, int]:
    """Return the number of each CAD model of a category, from 1, by its id."""
    return {path.stem: number for number, path in enumerate(sorted((cad / category).glob("*.npz")), start=1)}


def _anchors(labels: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the location of each keypoint of the category, if it is seen, and its status."""
    points = zip(labels["keypoint_names"], labels["keypoints_xy"], labels["keypoints_visibility"], strict=True)
    if odd := [name for name in names if not _FIELD.fullmatch(name)]:
        raise RunError(
            f"{labels['key']}: the keypoint {odd[0]!r} cannot be a field of a .mat file (letters, digits and _, a "
            "letter first, 63 at most): rename it in the models' files, or leave keypoints out of output.members"
        )
    keypoints = {name: (xy, seen) for name, xy, seen in points}
    anchors = {}
    for name in names:
        xy, seen = keypoints.get(name, ([], None))
        status = _UNKNOWN if seen is None else _STATUS[seen]
        anchors[name] = {"location": np.array([xy] if status == 1 else []), "status": status}
    return anchors


def _viewpoint(shot: Shot) -> dict[str, float]:
    """Return the viewpoint in degrees, and the camera. RunError for a pose that has none."""
    labels, view = shot.labels, viewpoint_of(shot.pose)
    if np.abs(shot.pose[:2, 3]).max() > _OFF_AXIS:
        raise RunError(f"{shot.key}: the object's origin is not on the camera's axis, which PASCAL3D+ has no place for")
    azimuth, elevation, theta = np.degrees([view.azimuth_rad, view.elevation_rad, view.theta_rad]).tolist()
    px, py = labels["principal_px"]
    return {
        "azimuth_coarse": azimuth,
        "elevation_coarse": elevation,
        "azimuth": azimuth,
        "elevation": elevation,
        "theta": theta,
        "distance": view.distance,
        "focal": 1.0,
        "viewport": labels["focal_px"],
        "px": px,
        "py": py,
        "error": 0.0,
        "interval_azimuth": 0.0,
        "interval_elevation": 0.0,
        "num_anchor": float(len(labels.get("keypoint_names", []))),
    }


def annotation(shot: Shot, cad_index: int, names: Sequence[str]) -> bytes:
    """Return the .mat file of a sample. names: of its category's keypoints. Its bytes do not depend on the clock."""
    from scipy.io import savemat

    labels = shot.labels
    height, width = labels["image_hw"]
    annotated = {
        "class": labels["category"],
        "view": "",
        "bbox": np.array([labels["bbox_xyxy"]]),
        "truncated": float(labels["truncated_share"] > 0),
        "occluded": float(labels["occluded_share"] > 0),
        "difficult": 0.0,
        "cad_index": float(cad_index),
        "viewpoint": _viewpoint(shot),
    } | ({"anchors": _anchors(labels, names)} if "keypoint_names" in labels else {})
    record = {
        "folder": f"{labels['category']}_imagenet",
        "filename": f"{shot.key}.JPEG",
        "imgsize": np.array([[width, height, 3]], dtype=np.float64),
        "segmented": 0.0,
        "objects": annotated,
    }
    buffer = BytesIO()
    savemat(buffer, {"record": record}, long_field_names=any(len(name) > _SHORT_FIELD for name in names))
    return _HEADER + buffer.getvalue()[len(_HEADER) :]


def write(source: ExportInput, out: Path, on_sample: Callable[[], None]) -> None:
    """Write a run or dataset as PASCAL3D+."""
    numbers: dict[str, dict[str, int]] = {}
    for split, shards in source.splits.items():
        names: dict[str, list[str]] = {}
        for shot in shots(shards):
            category = shot.labels["category"]
            place = f"{category}_imagenet"
            models = numbers.setdefault(category, cad_numbers(source.cad, category))
            content = annotation(shot, models[shot.labels["cad_id"]], source.keypoint_names[category])
            write_new(out / "Images" / place / f"{shot.key}.JPEG", shot.jpeg())
            write_new(out / "Annotations" / place / f"{shot.key}.mat", content)
            names.setdefault(place, []).append(shot.key)
            on_sample()
        for place, keys in names.items():
            write_bytes(out / "Image_sets" / f"{place}_{split}.txt", "".join(f"{key}\n" for key in keys).encode())
    for category, models in numbers.items():
        for name, number in models.items():
            model = load_cad(source.cad / category / f"{name}.npz")
            write_new(out / "CAD" / category / f"{number:02d}.off", off(model.vertices, model.faces))
