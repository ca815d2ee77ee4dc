"""cars3d from the public files: Stanford Cars' images and boxes, and the poses of finegrained-pose.

finegrained-pose (Wang et al., "3D Pose Estimation for Fine-Grained Object Categories") publishes a pickle,
`train_anno_v2.pkl`: a dictionary from file name ("00001.jpg") to a dictionary with `azimuth`, `elevation` and `theta`
in radians, and `distance`, `u`, `v`, `f`, `model_id`, which are not used. As PASCAL3D+ angles in degrees these are
    azimuth = 90 - raw azimuth,  elevation = raw elevation,  theta = -raw theta.
"""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures

from p3d_gen.core.codecs import encode_jpeg
from p3d_gen.core.errors import DataError
from p3d_gen.core.geometry import meets_picture
from p3d_gen.core.outputs import check_outputs
from p3d_gen.core.pictures import MOST_PIXELS, read_picture
from p3d_gen.run.files import read_json, write_bytes
from pose_models.data.viewpoint import pose_of

_ANGLES = ("azimuth", "elevation", "theta")
_LONGEST_SIDE = 256
_JPEG_QUALITY = 92
_PLAIN_NAME = re.compile(r"(?!\.)[^/\\\x00-\x1f\x7f]+")
_MARK = ".conversion"  # a conversion that was not finished may be begun again
_NUMPY_NAMES = {
    (module, name)
    for module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("ndarray", "dtype", "scalar", "_reconstruct")
}


@dataclass(frozen=True, kw_only=True)
class CarBox:
    """One entry of the devkit: box_xyxy in pixels, and the class's name, "" if the devkit keeps it secret."""

    box_xyxy: tuple[int, int, int, int]
    class_name: str


class _Restricted(pickle.Unpickler):
    """Builds dictionaries, lists, texts, numbers and numpy arrays; a pickle from strangers can name any function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NUMPY_NAMES and (module, name) != ("_codecs", "encode"):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain values and arrays are read")
        return super().find_class(module, name)


def read_poses(path: Path) -> dict[str, tuple[float, float, float]]:
    """Read azimuth in [0, 360), elevation and theta (PASCAL3D+, degrees) by file name from finegrained-pose's pickle.

    ValueError naming the file, and the keys found, if it is not laid out as described above.
    """
    try:
        with path.open("rb") as file:
            content = _Restricted(file, encoding="latin1").load()
    except Exception as error:  # a broken pickle raises anything
        raise DataError(f"cannot read {path}: {error}; download train_anno_v2.pkl of finegrained-pose again") from error
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} holds a {type(content).__name__}, not a dictionary from file name to annotation")
    return {str(name): _angles(path, str(name), entry) for name, entry in content.items()}


def _angles(path: Path, name: str, entry: Any) -> tuple[float, float, float]:
    if not isinstance(entry, dict) or any(angle not in entry for angle in _ANGLES):
        given = ", ".join(map(str, entry)) if isinstance(entry, dict) else f"a {type(entry).__name__}"
        raise DataError(f"{path}: {name} needs {', '.join(_ANGLES)} in radians; found: {given}")
    azimuth, elevation, theta = (math.degrees(float(entry[angle])) for angle in _ANGLES)
    if not math.isfinite(azimuth + elevation + theta):
        raise DataError(f"{path}: {name} has an angle that is not finite: {azimuth, elevation, theta}")
    return (90.0 - azimuth) % 360.0, elevation, -theta


def read_boxes(path: Path) -> dict[str, CarBox]:
    """Read the boxes by file name from a devkit's cars_train_annos.mat or cars_test_annos(_withlabels).mat.

    The classes' names come from cars_meta.mat in the same folder. ValueError naming the file that cannot be read.
    """
    from scipy.io import loadmat

    try:
        entries = np.atleast_1d(loadmat(path, squeeze_me=True)["annotations"])
        labelled = "class" in (entries.dtype.names or ())
    except Exception as error:  # the MATLAB reader raises whatever a broken file leads to
        raise DataError(f"cannot read {path}: {error!r}; give cars_train_annos.mat of the devkit") from error
    names = _class_names(path.parent / "cars_meta.mat") if labelled else []
    try:
        return {str(e["fname"]): _box(e, names[int(e["class"]) - 1] if labelled else "") for e in entries}
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise DataError(f"{path} has no bbox_x1, bbox_y1, bbox_x2, bbox_y2, fname: {error!r}") from error


def _box(entry: Any, class_name: str) -> CarBox:
    left, top, right, bottom = (int(entry[f"bbox_{side}"]) for side in ("x1", "y1", "x2", "y2"))
    return CarBox(box_xyxy=(left, top, right, bottom), class_name=class_name)


def _class_names(path: Path) -> list[str]:
    from scipy.io import loadmat

    try:
        return [str(name) for name in np.atleast_1d(loadmat(path, squeeze_me=True)["class_names"])]
    except Exception as error:  # the MATLAB reader raises whatever a broken file leads to
        raise DataError(f"cannot read {path}: {error!r}; it belongs next to the annotations of the devkit") from error


def _crop(path: Path, box: CarBox) -> tuple[bytes, tuple[int, int], tuple[int, int]]:
    """Return the JPEG of the box, at most 256 pixels long, its (height, width), and the (width, height) of the cut."""
    pixels = read_picture(path, upright=False)
    left, top, right, bottom = box.box_xyxy
    width, height = right - left, bottom - top
    if not meets_picture(box.box_xyxy, pixels.shape[:2]) or width * height > MOST_PIXELS // 2:
        raise DataError(
            f"{path}: its box {box.box_xyxy} is empty or lies off its {pixels.shape[1]} x {pixels.shape[0]} pixels; "
            "check the devkit's annotations"
        )
    part = Pictures.fromarray(pixels).crop(box.box_xyxy)
    shrink = min(1.0, _LONGEST_SIDE / max(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    cut = np.asarray(part.resize(size, Pictures.Resampling.LANCZOS) if shrink < 1 else part)
    return encode_jpeg(cut, _JPEG_QUALITY), (size[1], size[0]), (width, height)


def convert_cars3d(
    images: Path, devkit: Path, annotations: Path, out: Path, on_image: Callable[[], None] = lambda: None
) -> int:
    """Write `out`/images/*.jpg and `out`/annotations.json, and return how many images have both a box and a pose.

    Pictures are cut to the devkit's box and shrunk to a longest side of at most 256. DataError names what is broken,
    such as a name that leads out of a folder. RunError before a file is overwritten that no conversion made.
    """
    poses, boxes = read_poses(annotations), read_boxes(devkit)
    names = sorted(poses.keys() & boxes.keys())
    if not names:
        raise DataError(f"{annotations} and {devkit} name no image in common: take both of train, or both of test")
    for name in names:
        if not _PLAIN_NAME.fullmatch(name):
            raise DataError(f"{annotations} and {devkit}: {name!r} is not a plain file name; download them again")
    record, mark = out / "annotations.json", out / _MARK
    outputs = [record, *(out / "images" / name for name in names)]
    inputs = [annotations, devkit, *(images / name for name in names)]
    check_outputs(outputs, inputs, is_own=mark.exists() or _is_converted(record))
    write_bytes(mark, b"{}\n")
    written = {}
    for name in names:
        written[name] = _write(images / name, out / "images" / name, boxes[name], poses[name])
        on_image()
    write_bytes(record, json.dumps(written, indent=0, allow_nan=False).encode())
    mark.unlink()
    return len(names)


def _is_converted(record: Path) -> bool:
    """Return if a file is the annotations.json of a conversion."""
    try:
        entries = read_json(record)
    except (OSError, ValueError):
        return False
    return isinstance(entries, dict) and all(
        isinstance(entry, dict) and "R_cam_obj_opencv" in entry for entry in entries.values()
    )


def _write(source: Path, target: Path, box: CarBox, angles_deg: tuple[float, float, float]) -> Mapping[str, Any]:
    jpeg, image_hw, crop_wh = _crop(source, box)
    write_bytes(target, jpeg)
    azimuth, elevation, theta = angles_deg
    return {
        "image_hw": image_hw,
        "crop_wh": crop_wh,
        "cls_name": box.class_name,
        "azimuth_deg": round(azimuth, 3),
        "elevation_deg": round(elevation, 3),
        "theta_deg": round(theta, 3),
        "R_cam_obj_opencv": np.round(pose_of(azimuth, elevation, theta)[:3, :3], 6).tolist(),
    }
