"""Normalised CAD models, what RUN/cad/<category>/<id>.npz holds, and the preparation of all that a run needs."""

from __future__ import annotations

import fcntl
import functools
import json
import tempfile
from collections.abc import Callable, Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.assets.sources import Asset
from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.categories import KEYPOINTS, SYMMETRY_ORDER
from p3d_gen.errors import AssetError, RunError, did_you_mean
from p3d_gen.files import write_bytes, write_json
from p3d_gen.images import encode_npz
from p3d_gen.remote import is_remote, local_copy, place
from p3d_gen.store import Run, open_run, read_models
from p3d_gen.types import Array

_PATIENCE_S = 300.0
_FAR = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class CadModel:
    """A triangle mesh in object axes: z up, front -y, bounding box centred on 0 with diagonal 1.

    vertices (V, 3); faces (F, 3), indices of vertices, wound the same way where the surface is manifold;
    uv (F, 3, 2): smart UV in [0, 1] of every corner; native_uv (F, 3, 2): the source's own, zeros where it has none;
    face_part (F,): index into part_names; part_names: the source's material slots, ("",) where it has none;
    keypoints: name -> (3,), empty where the source has none;
    symmetry_order: how many turns about z leave the shape as it is, 0 any angle, 1 only the full turn;
    warnings: what its materials lack.
    """

    vertices: Array
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    native_uv: NDArray[np.float32]
    face_part: NDArray[np.uint8]
    part_names: tuple[str, ...]
    keypoints: dict[str, Array]
    symmetry_order: int
    warnings: tuple[str, ...] = ()


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
        warnings=np.array(model.warnings, np.str_),
    )
    write_bytes(path, content)


def load_cad(path: Path) -> CadModel:
    """The normalised CAD model of a file written by `save_cad`."""
    copy = local_copy(path)
    return _loaded(copy, copy.stat().st_mtime_ns)


@functools.lru_cache(maxsize=16)
def _loaded(path: Path, mtime_ns: int) -> CadModel:
    """A model of the file as it was at that time: a run may be deleted, and another made in its place."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # closed if it is damaged
        names = [str(name) for name in arrays["keypoint_names"]]
        return CadModel(
            vertices=arrays["vertices"],
            faces=arrays["faces"],
            uv=arrays["uv"],
            native_uv=arrays["native_uv"],
            face_part=arrays["face_part"],
            part_names=tuple(str(name) for name in arrays["part_names"]),
            keypoints=dict(zip(names, arrays["keypoints"], strict=True)),
            symmetry_order=int(arrays["symmetry_order"]),
            warnings=tuple(str(warning) for warning in arrays["warnings"]),
        )


def materials_file(cad: Path) -> Path:
    """The Blender library with the materials of a normalised CAD model; not there where its source has none."""
    return cad.with_suffix(".blend")


def _point(name: str, value: Any) -> Array:
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(x, int | float) and not isinstance(x, bool) and np.isfinite(x) for x in value)
    ):
        raise ValueError(f"{name!r} is {value!r}, not three finite numbers")
    return np.array(value, np.float64)


def read_sidecar(model: Path, category: str) -> tuple[dict[str, Array], int]:
    """The keypoints, name -> (3,) in the file's own axes and units, and the symmetry order of a CAD file.

    They stand in `<stem>.keypoints.json` beside it, {name: [x, y, z], ..., "symmetry_order": n}; without it there are
    no keypoints and the order is the category's. ValueError names the file and the wrong entry.
    """
    path = model.with_suffix(".keypoints.json")
    if not path.exists():
        return {}, SYMMETRY_ORDER[category]
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is no JSON object {name: [x, y, z]}")
        order = data.pop("symmetry_order", SYMMETRY_ORDER[category])
        if type(order) is not int or order < 0:
            raise ValueError(f"'symmetry_order' is {order!r}, not a whole number from 0 on")
        _check_names(data, category)
        return {name: _point(name, value) for name, value in data.items()}, order
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _check_names(keypoints: dict[str, Any], category: str) -> None:
    for name in keypoints:
        if name not in KEYPOINTS[category]:
            raise ValueError(f"{name!r} is no keypoint of {category}{did_you_mean(name, KEYPOINTS[category])}")


def check_keypoints(keypoints: dict[str, Array], category: str) -> None:
    """ValueError where a keypoint of a normalised model has a name that is not the category's, or is nowhere near."""
    _check_names(keypoints, category)
    for name, point in keypoints.items():
        if np.linalg.norm(point) > _FAR:
            raise ValueError(
                f"the keypoint {name!r} lies far outside the model: give it in the axes and units of the model's file"
            )


@contextmanager
def _local_target(cad: Path) -> Iterator[Path]:
    """Where Blender may write a model: its place, or a local one from which it is uploaded after the block, the npz
    last, since it marks a model as done."""
    if not is_remote(cad):
        yield cad
        return
    with tempfile.TemporaryDirectory(prefix="p3dgen-") as folder:
        local = Path(folder) / cad.name
        yield local
        for source, target in ((materials_file(local), materials_file(cad)), (local, cad)):
            if source.exists():
                write_bytes(target, source.read_bytes())


def _prepare(run: Run, worker: BlenderWorker, category: str, asset: Asset) -> None:
    """Prepare one model, or do nothing where it is there. What fails is tried once more: Blender may have been killed.

    RunError where the run folder cannot be written: that is not the model's fault.
    """
    target = run.cad_file(category, asset.id)
    if target.exists():
        return
    request = {"source": asset.address, "up": asset.up, "front": asset.front, "category": category}
    for last in (False, True):
        try:
            with _local_target(target) as local:
                worker.ask({"op": "prepare", "target": str(local), **request})
            return
        except BlenderError as error:
            if str(error).startswith("RunError: "):
                raise RunError(str(error).removeprefix("RunError: ")) from None
            if last:
                raise


def prepare_model(run: Run, worker: BlenderWorker, category: str, asset: Asset) -> str:
    """Prepare one model unless it is there; returns why it cannot be used, or "" where it can."""
    try:
        _prepare(run, worker, category, asset)
    except BlenderError as error:
        return str(error)
    return ""


def _reasons(run: Run, models: list[tuple[str, Asset]], workers: int, on_model: Callable[[], None]) -> Iterator[str]:
    """Prepare models with up to that many Blender processes; yields for each, in order, what `prepare_model` says."""
    with ExitStack() as stack, ThreadPoolExecutor(workers) as pool:
        idle: SimpleQueue[BlenderWorker] = SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(BlenderWorker(timeout_s=_PATIENCE_S)))

        def one(model: tuple[str, Asset]) -> str:
            worker = idle.get()
            try:
                return prepare_model(run, worker, *model)
            finally:
                idle.put(worker)

        for reason in pool.map(one, models):
            on_model()
            yield reason


@contextmanager
def _alone(run_folder: Path) -> Iterator[None]:
    """Hold the run's lock: of several processes that want its models, one prepares them, the others wait. Under a URL
    there is no lock: all of them write the same bytes, and the last one wins."""
    if is_remote(run_folder):
        yield
        return
    with (run_folder / "run.json").open("r+b") as file:  # which is there already: no file stays behind
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _summary(path: Path) -> dict[str, Any]:
    model = load_cad(path)
    return {
        "vertices": len(model.vertices),
        "faces": len(model.faces),
        "part_names": list(model.part_names),
        "has_materials": materials_file(path).exists(),
        "has_keypoints": bool(model.keypoints),
        "symmetry_order": model.symmetry_order,
        "warnings": list(model.warnings),
    }


def _check(run: Run, broken: list[tuple[str, Asset, str]]) -> None:
    """AssetError where broken models may not be left out, or nothing of a category would be left."""
    listed = "\n".join(f"  {cad.address}: {reason}" for _, cad, reason in broken)
    if broken and (run.prepared or not run.manifest.cad.quarantine):
        raise AssetError(
            "these CAD models cannot be used; mend them, leave them out by cad.include, or let the run leave them out "
            f"by cad.quarantine = true:\n{listed}"
        )
    for category, cads in run.inventory.cads.items():
        if len(cads) == len([name for name, _, _ in broken if name == category]):
            raise AssetError(f"no CAD model of {category!r} can be used; mend one of them:\n{listed}")


def _facts(run: Run, broken: Container[str]) -> dict[str, dict[str, Any]]:
    """Category -> id -> what the prepared model is. Nothing in it depends on the clock or on an earlier attempt."""
    return {
        category: {
            cad.id: _summary(run.cad_file(category, cad.id)) for cad in cads if f"{category}/{cad.id}" not in broken
        }
        for category, cads in run.inventory.cads.items()
    }


def _notes(models: dict[str, Any]) -> list[str]:
    """What a user should know of the models in RUN/cad/models.json."""
    left_out = [f"{name} is left out: {reason}" for name, reason in models.pop("quarantined").items()]
    return left_out + [
        f"{category}/{name}: {warning}"
        for category, facts in models.items()
        for name, fact in facts.items()
        for warning in fact["warnings"]
    ]


def prepare_models(run: Run, workers: int = 1, on_model: Callable[[], None] = lambda: None) -> list[str]:
    """Prepare all CAD models of a run and list them in RUN/cad/models.json, which is written last.

    workers: how many Blender processes at most. on_model is called after each model. Returns what a user should know:
    which models are left out, and what materials lack. AssetError lists the models that cannot be used; where
    cad.quarantine is true they are left out of the run instead, which has to be opened again to show it.
    """
    with _alone(run.root):
        run = open_run(run.root)  # another process may have prepared it in the meantime
        models = [(category, cad) for category, cads in run.inventory.cads.items() for cad in cads]
        todo = [(category, cad) for category, cad in models if not run.cad_file(category, cad.id).exists()]
        for _ in range(len(models) - len(todo)):
            on_model()
        reasons = list(_reasons(run, todo, min(workers, len(todo)), on_model)) if todo else []
        broken = [(category, cad, reason) for (category, cad), reason in zip(todo, reasons, strict=True) if reason]
        _check(run, broken)
        if not run.prepared:
            left_out = {f"{category}/{cad.id}": reason for category, cad, reason in broken}
            write_json(run.models_file, {**_facts(run, left_out), "quarantined": left_out})
    return _notes(read_models(run.root) or {})


def ensure_models(run_folder: str | Path) -> None:
    """Prepare the models of a run where that has not been done: at once where it has."""
    if read_models(place(run_folder)) is None:
        prepare_models(open_run(run_folder))
