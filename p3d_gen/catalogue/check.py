"""Reports on CAD models that Blender has prepared: their size, content and orientation, and their faults."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.protocol import SurveyAnswer, SurveyRequest
from p3d_gen.blender.topology import is_watertight, same_way_edges
from p3d_gen.catalogue.collect import Collection
from p3d_gen.catalogue.orientation import Difference, Surface, disagreements, doubts, sampled
from p3d_gen.catalogue.views import draw_views
from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.types import Picture
from p3d_gen.render.prepare import ask_of_model, prepare_request
from p3d_gen.run.cad_model import CadModel, load_cad, materials_file
from p3d_gen.run.shares import OnShare, unheard, whole
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.licences import asset_licence, is_own_ply
from p3d_gen.spec.part_names import PAINT, kind_of_part
from p3d_gen.spec.side_files import axes_file, unit_file

MANY_FACES = 200_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """The report on one CAD model.

    licence: SPDX id, see `spec.licences`. error: the reason why the model cannot be used, "" if it can; its numbers are
    then 0. extent_xyz: size of the normalised model, whose box diagonal is 1. parts: names of its material slots.
    keypoints: number of keypoints. warnings: faults that were repaired or that do not prevent its use, and doubts about
    its orientation. up, front: axes of the file that were taken to point up and to the front. axes_from: who states
    them. diagonal: of the box of the file, in its own units. diagonal_m: the same in metres, None if nobody states the
    unit. unit_from: who states it. faces_before, silhouette_iou: the number of faces before cad.max_faces reduced
    them, and the lowest agreement of the silhouettes before and after; None if nothing was reduced.
    part_kinds: part -> the kind of surface that `realistic` textures give it, "paint" if its name says none.
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
    part_kinds: dict[str, str] = field(default_factory=dict)
    has_materials: bool = False
    has_native_uv: bool = False
    keypoints: int = 0
    watertight: bool = False
    warnings: tuple[str, ...] = ()
    up: str = ""
    front: str = ""
    axes_from: str = ""
    diagonal: float = 0.0
    diagonal_m: float | None = None
    unit_from: str = ""
    faces_before: int | None = None
    silhouette_iou: float | None = None


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A report with what it was made from, None for a model that cannot be used.

    views: a picture of the model, see `catalogue.views`; None too if no pictures are asked for.
    """

    report: Report
    views: Picture | None = None
    surface: Surface | None = None


def _counted(number: int, fault: str) -> Iterator[str]:
    if number:
        yield f"{fault}: {number}"


def _warnings(survey: SurveyAnswer, model: CadModel) -> tuple[str, ...]:
    """Return warnings about the content of the file that the prepared model lacks, or should not have."""
    left = same_way_edges(model.faces)
    whole_faces = model.decimation.faces_before if model.decimation else len(model.faces)
    return (
        *_counted(survey.unused, "vertices of no face dropped"),
        *_counted(survey.faces - whole_faces, "degenerate or doubled faces dropped"),
        *_counted(max(survey.same_way - left, 0), "edges whose faces were wound inconsistently, repaired"),
        *_counted(left, "edges where the surface cannot be wound consistently"),
        *_counted(
            len(model.faces) if len(model.faces) > MANY_FACES else 0,
            "very many faces, which slow down every stage",
        ),
        *model.warnings,
    )


def _part_kinds(model: CadModel) -> dict[str, str]:
    return {name: model.stated_kinds.get(name) or kind_of_part(name) or PAINT for name in model.part_names if name}


def prepare(
    worker: BlenderWorker,
    definition: CategoryDefinition,
    asset: Asset,
    root: Path | None,
    on_share: OnShare = unheard,
) -> Path:
    """Prepare a model among the worker's own files and return its npz. Raise BlenderError if it cannot be used.

    root: folder of its source. Pictures outside it are left out, unless the model lies in that folder itself: it was
    named alone then.
    """
    target = Path(tempfile.mkdtemp(dir=worker.scratch)) / f"{asset.id}.npz"
    is_alone = root is None or asset.is_parametric or asset.path.resolve().parent == root.resolve()
    ask_of_model(worker, prepare_request(definition, asset, target, None if is_alone else root), on_share)
    return target


def discard(cad: Path) -> None:
    """Remove a prepared model, because the worker's files lie in memory."""
    shutil.rmtree(cad.parent, ignore_errors=True)


def reason(error: Exception) -> str:
    """Return an error as a user reads it, without the name of Python's type."""
    return str(error).removeprefix("ValueError: ")


def _axes_from(asset: Asset) -> str:
    """Return who states the axes of a model, as a report says it."""
    if asset.is_parametric or is_own_ply(asset.path):
        return "stated by the parametric library"
    suffix = asset.path.suffix.lower()
    if asset.axes_from == "format" and asset.up == "auto":
        return "stated by the file"
    return {
        "format": f"assumed: the default of {suffix}",
        "layout": "those of the folder's layout",
        "manifest": "stated by cad.up and cad.front",
        "option": "stated by --up and --front",
        "side file": f"stated by {(axes_file(asset.path) or asset.path).name}",
    }[asset.axes_from]


def _unit_from(asset: Asset) -> str:
    """Return who states the unit of a model's file, as a report says it."""
    return {
        "file": "stated by the file",
        "manifest": "stated by cad.unit",
        "side file": f"stated by {(unit_file(asset.path) or asset.path).name}",
    }[asset.unit_from]


def check_model(
    worker: BlenderWorker,
    definition: CategoryDefinition,
    asset: Asset,
    root: Path | None,
    with_views: bool = False,
    on_share: OnShare = unheard,
) -> Checked:
    """Prepare one model and report on it; `root` is the folder of its source. with_views: draw it too.

    on_share: called with shares of the preparation as they are done.
    """
    licence = asset_licence(asset, root).id
    report = Report(category=definition.name, id=asset.id, address=asset.address, licence=licence)
    try:
        path = prepare(worker, definition, asset, root, on_share)
        survey = ask_of_model(worker, SurveyRequest(source=asset.address))
    except BlenderError as error:
        return Checked(report=replace(report, error=reason(error)))
    model = load_cad(path)
    surface = sampled(model.vertices, model.faces)
    x, y, z = np.ptp(model.vertices, axis=0).tolist()
    up, front = (survey.up, survey.front) if asset.up == "auto" else (asset.up, asset.front)
    report = replace(
        report,
        faces=len(model.faces),
        vertices=len(model.vertices),
        extent_xyz=(x, y, z),
        parts=tuple(name for name in model.part_names if name),
        part_kinds=_part_kinds(model),
        has_materials=materials_file(path).exists(),
        has_native_uv=bool(model.native_uv.any()),
        keypoints=len(model.keypoints),
        watertight=is_watertight(model.faces),
        warnings=(*doubts(definition.name, surface), *_warnings(survey, model)),
        up=up,
        front=front,
        axes_from=_axes_from(asset),
        diagonal=survey.diagonal,
        diagonal_m=model.diagonal_m,
        unit_from=_unit_from(asset) if model.diagonal_m else "",
        faces_before=model.decimation.faces_before if model.decimation else None,
        silhouette_iou=model.decimation.silhouette_iou if model.decimation else None,
    )
    discard(path)
    views = draw_views(model.vertices, model.faces, model.face_part) if with_views else None
    return Checked(report=report, views=views, surface=surface)


def check(
    worker: BlenderWorker,
    collection: Collection,
    with_views: bool = False,
    on_share: OnShare = unheard,
) -> Iterator[Checked]:
    """Yield a report on each model, category by category. with_views: with its picture.

    on_share: called with shares of models as they are done, which add up to the number of models.
    """
    for category, assets in collection.cads.items():
        definition = collection.definition(category)
        for asset in assets:
            with whole(on_share) as advance:  # reading it again and drawing it take about as long as preparing it
                checked = check_model(
                    worker, definition, asset, collection.root, with_views, lambda share: advance(share / 2)
                )
            yield checked


def _unlike(report: Report, difference: Difference) -> Report:
    """Return a report with a warning that its model does not stand like the others."""
    up, front = difference.axes(report.up, report.front)
    warning = (
        f"it does not stand like the others of its category: it agrees with their shape to {difference.agreement:.2f}, "
        f"and to {difference.if_turned:.2f} if up is {up} and front {front}: are up and front right?"
    )
    return replace(report, warnings=(warning, *report.warnings))


def compared(checked: Sequence[Checked]) -> list[Checked]:
    """Return the reports with a warning for each model that stands otherwise than the others of its category."""
    result = list(checked)
    for category in dict.fromkeys(each.report.category for each in checked):
        numbers = [n for n, each in enumerate(checked) if each.report.category == category and each.surface]
        surfaces = [surface for n in numbers if (surface := checked[n].surface)]
        for place, difference in disagreements(surfaces).items():
            each = checked[numbers[place]]
            result[numbers[place]] = replace(each, report=_unlike(each.report, difference))
    return result
