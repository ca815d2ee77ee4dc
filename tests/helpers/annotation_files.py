"""Annotations as the devkit of PASCAL3D+ writes them, and small pictures beside them, for the tests of the readers."""

import cv2
import numpy as np
from scipy.io import savemat

VIEWPOINT = {
    "azimuth_coarse": 45.0,
    "elevation_coarse": 0.0,
    "azimuth": 30.0,
    "elevation": 20.0,
    "theta": 10.0,
    "distance": 5.0,
    "focal": 1.0,
    "viewport": 3000.0,
    "px": 26.0,
    "py": 18.0,
}


def struct_array(rows):
    """A MATLAB struct array (1, N) of dictionaries with the same keys."""
    out = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        out[0, i] = tuple(row.values())
    return out


def an_object(category="car", box=(5.0, 6.0, 45.0, 30.0), **viewpoint):
    """One object; a viewpoint's number that is None becomes an empty matrix."""
    values = {k: np.zeros((0, 0)) if v is None else v for k, v in (VIEWPOINT | viewpoint).items()}
    return {
        "class": category,
        "bbox": np.array(box),
        "viewpoint": struct_array([values]),
        "truncated": 0.0,
        "occluded": 0.0,
    }


def write_annotation(path, *objects):
    path.parent.mkdir(parents=True, exist_ok=True)
    record = struct_array([{"filename": f"{path.stem}.JPEG", "objects": struct_array(objects)}])
    savemat(path, {"record": record})


def write_picture(path, value=90, hw=(36, 52)):
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV picks the format by suffix, and knows none by the name of .JPEG in capitals on every system.
    path.write_bytes(cv2.imencode(".jpg", np.full((*hw, 3), value, np.uint8))[1].tobytes())


def write_list(path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))
