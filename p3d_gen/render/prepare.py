"""Preparation of the CAD models that a run needs: RUN/cad/<category>/<id>.npz, and RUN/cad/models.json last."""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from p3d_gen.blender.client import MEMORY_MB, BlenderError, BlenderWorker, PatienceError
from p3d_gen.blender.protocol import A, PrepareRequest, Request
from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.errors import AssetError, RunError
from p3d_gen.run.cad_model import load_cad, materials_file
from p3d_gen.run.checksums import changed_files
from p3d_gen.run.disk import has_name, lock_file
from p3d_gen.run.files import file_sha256, sealed_json, write_bytes
from p3d_gen.run.prepared import read_models
from p3d_gen.run.remote import is_remote, local_copy, place
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.shares import OnShare, unheard, whole
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.spec.inventory import OCCLUDERS, Asset
from p3d_gen.spec.stated import source_root
from p3d_gen.spec.taken import take_definitions

TIMEOUT_S = 300.0


@contextmanager
def _local_target(cad: Path) -> Iterator[Path]:
    """Yield a path to which Blender can write a model.

    A remote model is written locally and uploaded after the block; the npz goes last, because it marks a model as done.
    """
    if not is_remote(cad):
        yield cad
        return
    with ScratchFolder() as folder:
        local = folder / cad.name
        yield local
        for source, target in ((materials_file(local), materials_file(cad)), (local, cad)):
            if source.exists():
                write_bytes(target, source.read_bytes())


def prepare_request(
    definition: CategoryDefinition, asset: Asset, target: Path, root: Path | None = None
) -> PrepareRequest:
    """Return the request that prepares an asset into the npz `target`.

    definition: of its category. root: folder of models outside which its pictures are left out; without effect if it
    does not hold the asset.
    """
    return PrepareRequest(
        source=asset.address,
        target=target,
        up=asset.up,
        front=asset.front,
        symmetry=tuple(definition.symmetry.texts()),
        keypoints=definition.keypoints,
        unit_m=asset.unit_m,
        max_faces=asset.max_faces,
        root=root.absolute() if root and not asset.is_parametric and asset.path.is_relative_to(root) else None,
    )


def ask_of_model(worker: BlenderWorker, request: Request[A], on_share: OnShare = unheard) -> A:
    """Return the answer to a request to prepare a model, or to look at it. BlenderError if that fails.

    on_share: called with shares of the work as they are done, which add up to 1 at most.
    """
    done = 0.0

    def advance(share: float) -> None:
        nonlocal done
        on_share(max(share - done, 0.0))
        done = max(share, done)

    try:
        return worker.ask(request, advance)
    except PatienceError:
        raise _TooSlowError(
            f"its preparation took more than the {worker.timeout_s:g} s of --prepare-timeout and was ended: raise "
            "--prepare-timeout, or let cad.max_faces reduce its faces"
        ) from None


class _TooSlowError(BlenderError):
    """A model whose preparation took longer than allowed."""


def _prepare(run: RunFolder, worker: BlenderWorker, category: str, asset: Asset, on_share: OnShare) -> None:
    """Prepare one model. A failure is tried once more: Blender may have been killed. What takes too long is not.

    RunError if the run folder cannot be written, which is not the model's fault.
    """
    target = run.cad_file(category, asset.id)
    root = None if asset.is_parametric else source_root(run.manifest, run.base_dir, f"cad/{category}")
    for last in (False, True):
        try:
            with _local_target(target) as local:
                ask_of_model(worker, prepare_request(run.inventory.definition(category), asset, local, root), on_share)
            return
        except _TooSlowError:
            raise
        except BlenderError as error:
            if str(error).startswith("RunError: "):
                raise RunError(str(error).removeprefix("RunError: ")) from None
            if last:
                raise


def prepare_model(
    run: RunFolder,
    worker: BlenderWorker,
    category: str,
    asset: Asset,
    on_share: OnShare = unheard,
) -> str:
    """Prepare one model; return the reason why it cannot be used, or "".

    on_share: called with shares of the work as they are done, which add up to 1.
    """
    with whole(on_share) as advance:
        try:
            _prepare(run, worker, category, asset, advance)
        except BlenderError as error:
            return str(error)
        return ""


def _reasons(
    run: RunFolder,
    models: list[tuple[str, Asset]],
    workers: int,
    on_share: OnShare,
    memory_mb: int,
    timeout_s: float,
) -> Iterator[str]:
    """Prepare models with so many Blender processes; yields the result of `prepare_model` for each, in order."""
    with ThreadPoolExecutor(workers) as pool, ExitStack() as stack:  # when interrupted, Blender ends first
        idle: SimpleQueue[BlenderWorker] = SimpleQueue()
        for _ in range(workers):
            idle.put(stack.enter_context(BlenderWorker(timeout_s=timeout_s, memory_mb=memory_mb)))

        def one(model: tuple[str, Asset]) -> str:
            worker = idle.get()
            try:
                return prepare_model(run, worker, *model, on_share)
            finally:
                idle.put(worker)

        yield from pool.map(one, models)


@contextmanager
def _alone(run_folder: Path) -> Iterator[None]:
    """Hold the run's lock: of several processes that need its models, one prepares them and the others wait.

    There is no lock under a URL: all processes write the same bytes, and the last one wins.
    """
    if is_remote(run_folder):
        yield
        return
    path = (run_folder / "run.json").resolve()  # an existing file: no lock file stays behind
    while True:
        with path.open("r+b") as file:
            lock_file(file)
            if has_name(file, path):  # else it was replaced in the meantime
                yield
                return


def _summary(path: Path) -> dict[str, Any]:
    model = load_cad(path)
    copy = local_copy(path, materials_file(path))
    has_materials = materials_file(copy).exists()
    return {
        "vertices": len(model.vertices),
        "faces": len(model.faces),
        "part_names": list(model.part_names),
        "has_materials": has_materials,
        "has_keypoints": bool(model.keypoints),
        "symmetry_order": model.symmetry_order,
        "symmetry": model.symmetry.canonical().texts(),
        **({"diagonal_m": model.diagonal_m} if model.diagonal_m else {}),
        **({"decimation": asdict(model.decimation)} if model.decimation else {}),
        "warnings": list(model.warnings),
        "sha256": file_sha256(copy),
        **({"materials_sha256": file_sha256(materials_file(copy))} if has_materials else {}),
    }


def _check(run: RunFolder, broken: list[tuple[str, Asset, str]]) -> None:
    """Raise AssetError if broken models may not be left out, or if none of a category would be left."""
    listed = "\n".join(f"  {cad.address}: {reason}" for _, cad, reason in broken)
    if broken and (run.prepared or not run.manifest.cad.quarantine):
        raise AssetError(
            "these CAD models cannot be used; repair them, leave them out by cad.include, or let the run leave them "
            f"out by cad.quarantine = true:\n{listed}"
        )
    for category, cads in run.inventory.cads.items():
        if len(cads) == len([name for name, _, _ in broken if name == category]):
            raise AssetError(f"no CAD model of {category!r} can be used; repair one of them:\n{listed}")


def _facts(run: RunFolder, broken: Container[str]) -> dict[str, dict[str, Any]]:
    """Return category -> id -> summary of the prepared model. Only the checksums of materials depend on the attempt."""
    return {
        category: {
            cad.id: _summary(run.cad_file(category, cad.id)) for cad in cads if f"{category}/{cad.id}" not in broken
        }
        for category, cads in run.inventory.cads.items()
    }


def models_to_prepare(run: RunFolder) -> list[tuple[str, Asset]]:
    """Return the models, with their categories, whose files are not there or not what the run prepared.

    Contents are compared on local disks only: elsewhere each model would have to be fetched. Where a model is used, its
    content is compared in any case.
    """
    files = {
        (category, cad): run.cad_file(category, cad.id) for category, cads in run.inventory.cads.items() for cad in cads
    }
    todo = {model for model, path in files.items() if not path.exists()}
    if not is_remote(run.root):
        recorded = {}  # file -> its model and checksum
        for model, path in files.items():
            for file in (path, materials_file(path)):
                if sha256 := run.prepared_sha256.get(f"{model[0]}/{file.name}"):
                    recorded[file] = model, sha256
        todo |= {model for file, (model, _) in recorded.items() if not file.exists()}
        there = {file: sha256 for file, (model, sha256) in recorded.items() if model not in todo}
        todo |= {recorded[file][0] for file in changed_files(there)}
    return [model for model in files if model in todo]


def _record_again(run: RunFolder, models: list[tuple[str, Asset]]) -> list[str]:
    """Record the materials of models that were prepared again, and return notes for the user.

    The models themselves come out as before, byte by byte. Blender never writes the same materials as the same bytes.
    RunError if a model is another one now.
    """
    listed, notes, is_changed = read_models(run.root) or {}, [], False
    for category, cad in models:
        path, recorded = run.cad_file(category, cad.id), listed[category][cad.id]
        facts = _summary(path)
        if facts["sha256"] != recorded.get("sha256", facts["sha256"]):
            raise RunError(
                f"{path} was not what {run.models_file} says, and comes out differently now: {cad.address}, or the "
                "software, has changed since; put the former file back, or choose another --out"
            )
        notes.append(f"{category}/{cad.id} was missing or damaged, and is prepared again")
        if "sha256" in recorded and facts != recorded:
            listed[category][cad.id], is_changed = facts, True
    if is_changed:
        write_bytes(run.models_file, sealed_json(listed))
    return notes


def _notes(run: RunFolder, models: dict[str, Any]) -> list[str]:
    """Return notes for the user about the models in RUN/cad/models.json: models left out, warnings, bare models."""
    notes = [f"{name} is left out: {reason}" for name, reason in models.pop("quarantined").items()]
    for category, facts in models.items():
        for name, fact in facts.items():
            notes += [f"{category}/{name}: {warning}" for warning in fact["warnings"]]
            if run.manifest.texture.kind == "native" and category != OCCLUDERS and not fact["has_materials"]:
                notes.append(f"{category}/{name} has no materials of its own: it is rendered in grey")
    return notes


def prepare_models(
    run: RunFolder,
    workers: int = 1,
    on_share: OnShare = unheard,
    memory_mb: int = MEMORY_MB,
    timeout_s: float = TIMEOUT_S,
) -> list[str]:
    """Prepare all CAD models of a run and list them in RUN/cad/models.json, which is written last.

    workers: largest number of Blender processes. memory_mb: largest resident memory of each. timeout_s: longest time
    for one model. on_share: called with the shares of models as they are done, which add up to the number of models.
    Returns notes for the user: what was assumed of categories that nothing defines, models prepared again, models left
    out, pictures missing from materials, and models without materials that were asked for.
    AssetError lists the models that cannot be used. If cad.quarantine is true they are left out of the run instead;
    open the run again to see its new inventory.
    """
    with _alone(run.root):
        run = open_run(run.root)  # another process may have prepared it in the meantime
        count = sum(len(cads) for cads in run.inventory.cads.values())
        todo = models_to_prepare(run)
        for _ in range(count - len(todo)):
            on_share(1.0)
        reasons = list(_reasons(run, todo, min(workers, len(todo)), on_share, memory_mb, timeout_s)) if todo else []
        broken = [(category, cad, reason) for (category, cad), reason in zip(todo, reasons, strict=True) if reason]
        _check(run, broken)
        again = []
        if not run.prepared:
            left_out = {f"{category}/{cad.id}": reason for category, cad, reason in broken}
            write_bytes(run.models_file, sealed_json({**_facts(run, left_out), "quarantined": left_out}))
        elif todo:
            again = _record_again(run, todo)
    assumed = take_definitions(run.manifest, run.inventory.cads)[1]
    return assumed + again + _notes(run, read_models(run.root) or {})


def ensure_models(run_folder: str | Path, memory_mb: int = MEMORY_MB, timeout_s: float = TIMEOUT_S) -> None:
    """Prepare the models of a run unless that is done."""
    if read_models(place(run_folder)) is None:
        prepare_models(open_run(run_folder), memory_mb=memory_mb, timeout_s=timeout_s)
