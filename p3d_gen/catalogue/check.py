"""Reports on CAD models that Blender has prepared: their size and content, and their faults."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.protocol import SurveyAnswer, SurveyRequest
from p3d_gen.blender.topology import is_watertight, same_way_edges
from p3d_gen.catalogue.collect import Collection
from p3d_gen.render.prepare import prepare_request
from p3d_gen.run.cad_model import CadModel, load_cad, materials_file
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.licences import asset_licence

MANY_FACES = 200_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report on one CAD model.

    licence: SPDX id, see `spec.licences`. error: the reason why the model cannot be used, "" if it can; its numbers are
    then 0. extent_xyz: size of the normalised model, whose box diagonal is 1. parts: names of its material slots.
    keypoints: number of keypoints. warnings: faults that were repaired or that do not prevent its use.
    """

    category: str
    id: str
    address: str
    licence: str
    error: str = ""
    faces: int = 0
    vertices: int = 0
    extent_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    parts: tuple[str, ...] = ()
    has_materials: bool = False
    has_native_uv: bool = False
    keypoints: int = 0
    watertight: bool = False
    warnings: tuple[str, ...] = ()


def _counted(number: int, fault: str) -> Iterator[str]:
    if number:
        yield f"{fault}: {number}"


def _warnings(survey: SurveyAnswer, model: CadModel) -> tuple[str, ...]:
    """Return warnings about the content of the file that the prepared model lacks, or should not have."""
    left = same_way_edges(model.faces)
    return (
        *_counted(survey.unused, "vertices of no face dropped"),
        *_counted(survey.faces - len(model.faces), "degenerate or doubled faces dropped"),
        *_counted(max(survey.same_way - left, 0), "edges whose faces were wound inconsistently, repaired"),
        *_counted(left, "edges where the surface cannot be wound consistently"),
        *_counted(
            len(model.faces) if len(model.faces) > MANY_FACES else 0,
            "very many faces, which slow down every stage",
        ),
        *model.warnings,
    )


def prepare(worker: BlenderWorker, category: str, asset: Asset, root: Path | None) -> Path:
    """Prepare a model among the worker's own files and return its npz. Raise BlenderError if it cannot be used.

    root: folder of its source. Pictures outside it are left out, unless the model lies in that folder itself: it was
    named alone then.
    """
    target = Path(tempfile.mkdtemp(dir=worker.scratch)) / f"{asset.id}.npz"
    is_alone = root is None or asset.is_parametric or asset.path.resolve().parent == root.resolve()
    worker.ask(prepare_request(category, asset, target, None if is_alone else root))
    return target


def discard(cad: Path) -> None:
    """Remove a prepared model, because the worker's files lie in memory."""
    shutil.rmtree(cad.parent, ignore_errors=True)


def reason(error: Exception) -> str:
    """Return an error as a user reads it, without the name of Python's type."""
    return str(error).removeprefix("ValueError: ")


def check_model(worker: BlenderWorker, category: str, asset: Asset, root: Path | None) -> Report:
    """Prepare one model and report on it; `root` is the folder of its source."""
    report = Report(category=category, id=asset.id, address=asset.address, licence=asset_licence(asset, root).id)
    try:
        path = prepare(worker, category, asset, root)
        survey = worker.ask(SurveyRequest(source=asset.address, category=category))
    except BlenderError as error:
        return replace(report, error=reason(error))
    model = load_cad(path)
    x, y, z = np.ptp(model.vertices, axis=0).tolist()
    report = replace(
        report,
        faces=len(model.faces),
        vertices=len(model.vertices),
        extent_xyz=(x, y, z),
        parts=tuple(name for name in model.part_names if name),
        has_materials=materials_file(path).exists(),
        has_native_uv=bool(model.native_uv.any()),
        keypoints=len(model.keypoints),
        watertight=is_watertight(model.faces),
        warnings=_warnings(survey, model),
    )
    discard(path)
    return report


def check(worker: BlenderWorker, collection: Collection) -> Iterator[Report]:
    """Yield a report on each model, category by category."""
    for category, assets in collection.cads.items():
        for asset in assets:
            yield check_model(worker, category, asset, collection.root)
