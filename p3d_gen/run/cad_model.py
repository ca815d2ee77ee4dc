"""A prepared CAD model: its file in a run, and the side file with its keypoints."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import encode_npz
from p3d_gen.core.errors import ConfigError, P3DError, RunError
from p3d_gen.core.silhouette import MIN_MASK_IOU
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Array
from p3d_gen.run.checksums import changed_files
from p3d_gen.run.files import write_bytes
from p3d_gen.run.remote import local_copy
from p3d_gen.spec.side_files import own_file

_FAR = 1.0
_NEARLY = 0.85
_ATTRIBUTE = "attribute "
NORMALS = "custom_normal"  # Blender's own name for them
_STATED = "stated_kinds"
_DIAGONAL_M = "diagonal_m"
_DECIMATION = "decimation"
_REMEDY = "delete it, and `p3dgen render` or `p3dgen run` prepares it again"


@dataclass(frozen=True, kw_only=True)
class Decimation:
    """The reduction of a model to cad.max_faces.

    faces_before: the number of its faces. silhouette_iou: the lowest agreement of its outlines before and after, see
    `core.outlines`.
    """

    faces_before: int
    silhouette_iou: float

    def said(self, faces: int) -> str:
        """Return a line about it. faces: the number that is left."""
        doubt = f", and {MIN_MASK_IOU:g} is wanted: raise cad.max_faces" if self.silhouette_iou < MIN_MASK_IOU else ""
        return (
            f"{self.faces_before} faces were reduced to {faces} (cad.max_faces); the silhouettes agree to IoU "
            f"{self.silhouette_iou:.4f} or more{doubt}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class CadModel:
    """A triangle mesh in object axes: z up, front -y, bounding box centred on 0 with diagonal 1.

    vertices: (V, 3). faces: (F, 3), indices of vertices, wound the same way if the surface is manifold. uv: (F, 3, 2),
    smart UV in [0, 1] of every corner. native_uv: (F, 3, 2), the source's own, zeros if it has none. face_part: (F,),
    index into part_names. part_names: the source's material slots, ("",) if it has none. keypoints: name -> (3,), empty
    if the source has none. symmetry: turns that leave the shape as it is, in object axes. warnings: things that its
    materials lack. attributes: name -> (F, 3, k), what its own materials read at each corner besides native_uv, such as
    colours; under NORMALS its own normals. stated_kinds: part -> its kind, where that is stated, see
    `spec.part_names`. diagonal_m: the metres that 1 means, the diagonal of its box, None if its file has no unit.
    decimation: what cad.max_faces changed, None if nothing.
    """

    vertices: Array
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    native_uv: NDArray[np.float32]
    face_part: NDArray[np.uint8]
    part_names: tuple[str, ...]
    keypoints: dict[str, Array]
    symmetry: Symmetry
    warnings: tuple[str, ...] = ()
    attributes: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    stated_kinds: dict[str, str] = field(default_factory=dict)
    diagonal_m: float | None = None
    decimation: Decimation | None = None

    @property
    def symmetry_order(self) -> int:
        """Return the number of turns about z that leave the shape as it is: 0 any angle, 1 only the full turn."""
        return self.symmetry.z_order


def save_cad(path: Path, model: CadModel) -> None:
    """Write a normalised CAD model atomically; the bytes depend on the model alone."""
    content = encode_npz(
        vertices=model.vertices,
        faces=model.faces,
        uv=model.uv,
        native_uv=model.native_uv,
        face_part=model.face_part,
        part_names=np.array(model.part_names, np.str_),
        keypoint_names=np.array(list(model.keypoints), np.str_),
        keypoints=np.array(list(model.keypoints.values()), np.float64).reshape(-1, 3),
        symmetry_order=np.array(model.symmetry_order),
        symmetries=np.array(model.symmetry.rows()),
        warnings=np.array(model.warnings, np.str_),
        **({_STATED: np.array(list(model.stated_kinds.items()), np.str_)} if model.stated_kinds else {}),
        **({_DIAGONAL_M: np.array(model.diagonal_m)} if model.diagonal_m is not None else {}),
        **({_DECIMATION: np.array(astuple(model.decimation))} if model.decimation else {}),
        **{f"{_ATTRIBUTE}{name}": values for name, values in model.attributes.items()},
    )
    write_bytes(path, content)


def load_cad(path: Path, sha256: str = "") -> CadModel:
    """Return the normalised CAD model of a file written by `save_cad`.

    sha256: of its content; "" if that is not known. RunError if the file has another content, or is damaged.
    """
    try:
        copy = local_copy(path)
        about = copy.stat()
        return _loaded(copy, sha256, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino)
    except P3DError:
        raise
    except Exception as error:  # numpy raises whatever damaged bytes lead to
        raise RunError(f"{path} cannot be read as a prepared CAD model ({_said(error)}); {_REMEDY}") from None


def _said(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"


@functools.lru_cache(maxsize=16)
def _loaded(path: Path, sha256: str, *_: int) -> CadModel:
    """Return the model of the file as its last arguments say it is: another may be put in its place."""
    content = path.read_bytes()
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise RunError(f"{path} is not what the run prepared, its content has changed; {_REMEDY}")
    with np.load(BytesIO(content), allow_pickle=False) as arrays:
        names = [str(name) for name in arrays["keypoint_names"]]
        return CadModel(
            vertices=arrays["vertices"],
            faces=arrays["faces"],
            uv=arrays["uv"],
            native_uv=arrays["native_uv"],
            face_part=arrays["face_part"],
            part_names=tuple(str(name) for name in arrays["part_names"]),
            keypoints=dict(zip(names, arrays["keypoints"], strict=True)),
            symmetry=_symmetry(arrays),
            warnings=tuple(str(warning) for warning in arrays["warnings"]),
            attributes={name.removeprefix(_ATTRIBUTE): arrays[name] for name in arrays if name.startswith(_ATTRIBUTE)},
            stated_kinds={str(part): str(kind) for part, kind in arrays[_STATED]} if _STATED in arrays else {},
            diagonal_m=float(arrays[_DIAGONAL_M]) if _DIAGONAL_M in arrays else None,
            decimation=_decimation(arrays),
        )


def _decimation(arrays: Mapping[str, NDArray[Any]]) -> Decimation | None:
    if _DECIMATION not in arrays:
        return None
    faces, iou = arrays[_DECIMATION].tolist()
    return Decimation(faces_before=int(faces), silhouette_iou=iou)


def _symmetry(arrays: Mapping[str, NDArray[Any]]) -> Symmetry:
    """Return the symmetry of a stored model; version 0.1.0 knew turns about z only."""
    if "symmetries" in arrays:
        return Symmetry.of_labels({"symmetries": arrays["symmetries"].tolist()})
    return Symmetry.of_order(int(arrays["symmetry_order"]))


def keypoint_names(path: Path) -> list[str]:
    """Return the names of the keypoints of a normalised CAD model, without reading the rest of it."""
    with np.load(BytesIO(local_copy(path).read_bytes()), allow_pickle=False) as arrays:
        return [str(name) for name in arrays["keypoint_names"]]


def check_materials(path: Path, sha256: str) -> None:
    """Raise RunError if the materials of a prepared CAD model, a local file, are not there, or have another content."""
    if not path.exists() or changed_files({path: sha256}):
        raise RunError(f"{path} is not what the run prepared, or not there; {_REMEDY}")


def materials_file(cad: Path) -> Path:
    """Return the path of the Blender library with the materials of a normalised CAD model; no file is there if it has
    none."""
    return cad.with_suffix(".blend")


def _point(name: str, value: Any) -> Array:
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(x, int | float) and not isinstance(x, bool) and np.isfinite(x) for x in value)
    ):
        raise ValueError(f"{name!r} is {value!r}, not three finite numbers")
    return np.array(value, np.float64)


def read_sidecar(model: Path, default: Symmetry) -> tuple[dict[str, Array], Symmetry]:
    """Return the keypoints, name -> (3,) in the file's own axes and units, and the symmetry of a CAD file.

    They stand in its side file, see `spec.side_files`, or in `<stem>.keypoints.json` next to it: {name: [x, y, z], ...,
    "symmetry_order": n} or {..., "symmetry": ["z:2", ...]}, whose turns are in object axes. The side file counts where
    both say something. Without either there are no keypoints, and the symmetry is the default, that of the category.
    ValueError names the file and the wrong entry.
    """
    keypoints, symmetry = _read_keypoints(model, default)
    try:
        stated = own_file(model)
        points = {name: np.array(point, np.float64) for name, point in (stated.keypoints or {}).items()}
        return keypoints | points, symmetry if stated.symmetry is None else Symmetry.parse(stated.symmetry)
    except P3DError as error:
        raise ValueError(str(error)) from None


def _read_keypoints(model: Path, default: Symmetry) -> tuple[dict[str, Array], Symmetry]:
    path = model.with_suffix(".keypoints.json")
    if not path.exists():
        return {}, default
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object {name: [x, y, z]}")
        symmetry = _stated_symmetry(data, default)
        return {name: _point(name, value) for name, value in data.items()}, symmetry
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _stated_symmetry(data: dict[str, Any], default: Symmetry) -> Symmetry:
    """Take the symmetry out of the content of a side file. ValueError if it is not one."""
    order, turns = data.pop("symmetry_order", None), data.pop("symmetry", None)
    if order is not None and (type(order) is not int or order < 0):
        raise ValueError(f"'symmetry_order' is {order!r}, not a whole number from 0 on")
    if order is not None and turns is not None:
        raise ConfigError("it has both 'symmetry' and 'symmetry_order': leave one of them out")
    if turns is not None:
        return Symmetry.parse(turns)
    return default if order is None else Symmetry.of_order(order)


def check_keypoints(keypoints: dict[str, Array]) -> None:
    """Raise ValueError if a keypoint of a normalised model lies far outside."""
    for name, point in keypoints.items():
        if np.linalg.norm(point) > _FAR:
            raise ValueError(
                f"the keypoint {name!r} lies far outside the model: give it in the axes and units of the model's file"
            )


def doubtful_keypoints(keypoints: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return a warning about each keypoint whose name is nearly, but not quite, one that the category knows."""
    return [
        f"the keypoint {name!r} is not one of the category's, but nearly {near[0]!r}: correct it if that is meant"
        for name in keypoints
        if name not in known and (near := get_close_matches(name, known, n=1, cutoff=_NEARLY))
    ]


def stretched(model: CadModel, stretch_xyz: Sequence[float] | Array) -> Array:
    """Return the vertices (V, 3) of a sample's object in object axes."""
    return np.asarray(model.vertices * np.asarray(stretch_xyz))
