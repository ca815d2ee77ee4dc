"""The commands `p3dgen assets list`, `check` and `import`. They import heavy modules themselves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from p3d_gen.cli.common import prepare_timeout_option
from p3d_gen.core.categories import check_name
from p3d_gen.core.commandline import Choice, Group, print_wide
from p3d_gen.core.errors import AssetError, ConfigError
from p3d_gen.run.live import advancing

if TYPE_CHECKING:
    from p3d_gen.catalogue.check import Report
    from p3d_gen.catalogue.collect import Collection
    from p3d_gen.spec.inventory import Asset

_SHOWN_IDS = 6
LAYOUTS = ("auto", "folder", "pascal3d", "objectnet3d", "shapenet", "ood_cv", "p3d_diffusion")
AXES = ("auto", "x", "-x", "y", "-y", "z", "-z")


@click.group(cls=Group)
def assets() -> None:
    """List, check and convert CAD models, and list the other assets of a manifest."""


pages_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="assets-check",
    show_default=True,
    help="Folder for the pictures: index.html, and models-1.png with further sheets.",
)


max_faces_option = click.option(
    "--max-faces",
    type=click.IntRange(min=100),
    metavar="N",
    help="Reduce models to so many faces; by default as cad.max_faces of a MANIFEST says.",
)


class _CategoryName(click.ParamType[str]):
    """The name of a category, built in or one's own."""

    name = "category"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; click's error if it cannot be one."""
        try:
            return check_name(value)
        except ConfigError as error:
            self.fail(str(error), param, ctx)


category_option = click.option(
    "--category", type=_CategoryName(), metavar="NAME", help="Use only the models of this category, such as car or mug."
)


def _few(models: tuple[Asset, ...]) -> str:
    names = ", ".join(asset.id for asset in models[:_SHOWN_IDS])
    more = len(models) - _SHOWN_IDS
    return f"{names} and {more} more" if more > 0 else names


def _add_cads(table: Table, cads: dict[str, tuple[Asset, ...]], where: str) -> None:
    for category, models in cads.items():
        table.add_row(f"CAD {category}", str(len(models)), _few(models), where)


def _list_manifest(table: Table, path: Path) -> None:
    from p3d_gen.spec.manifest import load_manifest
    from p3d_gen.spec.stated import source_root
    from p3d_gen.spec.taken import background_folder, light_folder, take_inventory, texture_folder

    manifest, base_dir = load_manifest(path), path.parent
    inventory = take_inventory(manifest, base_dir)
    for category, models in inventory.cads.items():
        root = source_root(manifest, base_dir, f"cad/{category}")
        _add_cads(table, {category: models}, "parametric" if root is None else str(root))
    for kind, assets, folder in (
        ("textures", inventory.textures, texture_folder),
        ("environment maps", inventory.hdris, light_folder),
        ("backgrounds", inventory.backgrounds, background_folder),
    ):
        origin = str(folder(manifest, base_dir)) if assets else "not used"
        table.add_row(kind, str(len(assets)), _few(assets), origin)


def _list_library(table: Table) -> None:
    from blender_assets.shapes import BODY_TYPES, CATEGORIES
    from p3d_gen.spec.parametric import parametric_address

    for category in CATEGORIES:
        table.add_row(f"CAD {category}", "any", f"{BODY_TYPES} body types", parametric_address(category, 0))


@assets.command("list")
@click.argument("source", metavar="MANIFEST|FOLDER|parametric")
@category_option
def list_(source: str, category: str | None) -> None:
    """List the assets of a manifest, the CAD models of a folder, or the shapes of the parametric library.

    \b
    Examples:
      p3dgen assets list manifests/quickstart.toml
      p3dgen assets list PASCAL3D+_release1.1
    """
    from p3d_gen.catalogue.collect import Wanted, collect

    table = Table("kind", "number", "names", "source")
    if source == "parametric" and not category:
        _list_library(table)
    elif Path(source).is_file() and source.endswith(".toml") and not category:
        _list_manifest(table, Path(source))
    else:
        models = collect(source, Wanted(category=category or ""))
        _add_cads(table, models.cads, str(models.root or "parametric"))
    print_wide(table)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _check_row(report: Report) -> tuple[str, ...]:
    if report.error:
        return (report.id, *[""] * 8, report.licence, "broken")
    return (
        report.id,
        str(report.faces),
        str(report.vertices),
        " ".join(f"{side:.3f}" for side in report.extent_xyz),
        "" if report.diagonal_m is None else f"{report.diagonal_m:.4g}",
        f"{len(report.parts)}{' with materials' if report.has_materials else ''}",
        _yes(report.has_native_uv),
        str(report.keypoints),
        _yes(report.watertight),
        report.licence,
        f"{count} warning{'s' if count > 1 else ''}" if (count := len(report.warnings)) else "good",
    )


def _show_reports(reports: list[Report]) -> None:
    titles = (
        "id",
        "faces",
        "vertices",
        "extent x y z",
        "diagonal m",
        "parts",
        "UVs",
        "keypoints",
        "watertight",
        "licence",
        "state",
    )
    for category in dict.fromkeys(report.category for report in reports):
        table = Table(*titles, title=category)
        for report in reports:
            if report.category == category:
                table.add_row(*_check_row(report))
        print_wide(table)
    for report in reports:
        for line in (f"broken: {report.address}: {report.error}",) if report.error else report.warnings:
            click.echo(f"{report.category}/{report.id}: {line}")
        if report.part_kinds:
            kinds = ", ".join(f"{part} = {kind}" for part, kind in report.part_kinds.items())
            click.echo(f"{report.category}/{report.id}: kinds of parts: {kinds}")
    axes = Counter(f"up {report.up}, front {report.front}, {report.axes_from}" for report in reports if report.up)
    for text, count in axes.items():
        click.echo(f"axes of {count} model{'s' if count > 1 else ''}: {text}")


@assets.command("check")
@click.argument("source", metavar="MANIFEST|FOLDER|ADDRESS")
@category_option
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@pages_option
@click.option("--no-pictures", is_flag=True, help="Write no pictures.")
@max_faces_option
@prepare_timeout_option
def check_(
    source: str,
    category: str | None,
    as_json: bool,
    out: Path,
    no_pictures: bool,
    max_faces: int | None,
    prepare_timeout_s: float,
) -> None:
    """Prepare CAD models in Blender, report on them, and draw them as the labels see them.

    The exit status is 1 if a model cannot be used. The warnings of each model follow its table. OUT/index.html and
    OUT/models-1.png show each model from four sides and above, with its front marked, and its axes and who states them.

    An ADDRESS is a file, parametric:car?variant=17 or parametric:car?variant=0..31.

    \b
    Axes of the formats, where no manifest, side file or layout states others:
      OBJ, GLB, glTF          y up, front z
      OFF, PLY, STL, .blend   z up, front -y
      USD, FBX, DAE           as the file says; front z if y is up, else -y

    \b
    Examples:
      p3dgen assets check PASCAL3D+_release1.1 --category car
      p3dgen assets check model.glb --category chair
    """
    from p3d_gen.blender.client import BlenderWorker
    from p3d_gen.catalogue.check import check, compared
    from p3d_gen.catalogue.check_page import check_folder, write_pages
    from p3d_gen.catalogue.collect import Wanted, collect

    collection = collect(source, Wanted(category=category or "", max_faces=max_faces))
    _say_assumptions([collection])
    models = [asset for assets in collection.cads.values() for asset in assets]
    if not no_pictures:
        check_folder(out, [asset.path for asset in models if not asset.is_parametric])
    with BlenderWorker(timeout_s=prepare_timeout_s) as worker, advancing("check", len(models)) as on_share:
        checked = compared(list(check(worker, collection, not no_pictures, on_share)))
    reports = [each.report for each in checked]
    if as_json:
        click.echo(json.dumps([asdict(report) for report in reports], indent=2))
    else:
        _show_reports(reports)
    if not no_pictures:
        click.echo(
            f"pictures: {', '.join(str(path) for path in write_pages(out, _title(source), checked))}", err=as_json
        )
    _conclude([report.address for report in reports if report.error], len(models), "cannot be used")


def _say_assumptions(collections: Iterable[Collection]) -> None:
    for line in dict.fromkeys(line for collection in collections for line in collection.assumptions()):
        click.echo(line, err=True)


def _title(source: str) -> str:
    return str(Path(source).resolve()) if Path(source).exists() else source


def _conclude(broken: list[str], total: int, consequence: str) -> None:
    if broken:
        raise click.ClickException(f"{len(broken)} of {total} models {consequence}")


def _source_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for the layout of a source's folders and for its axes, as in a manifest's section cad."""
    for option in (
        click.option(
            "--layout",
            type=Choice(LAYOUTS),
            default="auto",
            show_default=True,
            help="Layout of the source's folders; auto recognises it.",
        ),
        click.option(
            "--front",
            type=Choice(AXES),
            default="auto",
            show_default=True,
            help="Axis of the source that points to the front; auto is that of the side file, layout or format.",
        ),
        click.option(
            "--up",
            type=Choice(AXES),
            default="auto",
            show_default=True,
            help="Axis of the source that points up; auto is that of the side file, layout or format.",
        ),
    ):
        command = option(command)
    return command


def _merged(collections: Iterable[Collection]) -> dict[str, tuple[Asset, ...]]:
    """Return the models of several sources. Raise AssetError if two of them would get the same file."""
    merged: dict[str, dict[str, Asset]] = {}
    for collection in collections:
        for category, models in collection.cads.items():
            known = merged.setdefault(category, {})
            for asset in models:
                if asset.id in known:
                    raise AssetError(
                        f"{asset.address} has the same name as {known[asset.id].address}: "
                        "import them into different folders, or rename one"
                    )
                known[asset.id] = asset
    return {category: tuple(models.values()) for category, models in merged.items()}


@assets.command("import")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@category_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to fill.")
@_source_options
@max_faces_option
@prepare_timeout_option
def import_(
    sources: tuple[str, ...],
    category: str | None,
    out: Path,
    up: str,
    front: str,
    layout: str,
    max_faces: int | None,
    prepare_timeout_s: float,
) -> None:
    """Convert CAD models to OUT/<category>/<id>.ply or .glb.

    The models become z up, front -y, centred, with box diagonal 1; `p3dgen assets check --help` lists the axes that
    files of each format are taken to have. A SOURCE is a file, a folder, a manifest or
    parametric:car?variant=0..31. OUT can be a manifest's cad.source. If a model cannot be used, it is named, the others
    are converted, and the exit status is 1.

    \b
    Examples:
      p3dgen assets import ShapeNetCore.v2 --category car --out cad
      p3dgen assets import *.obj --category chair --up y --front z --out cad
    """
    from p3d_gen.blender.client import BlenderWorker
    from p3d_gen.catalogue.collect import Wanted, collect
    from p3d_gen.catalogue.convert import convert

    wanted = Wanted(category=category or "", layout=layout, up=up, front=front, max_faces=max_faces)
    collections = [collect(source, wanted) for source in sources]
    _say_assumptions(collections)
    cads = _merged(collections)
    roots = {asset.address: each.root for each in collections for models in each.cads.values() for asset in models}
    total = sum(len(models) for models in cads.values())
    broken = []
    definitions = {name: each.definition(name) for each in collections for name in each.cads}
    with BlenderWorker(timeout_s=prepare_timeout_s) as worker, advancing("import", total) as on_share:
        for asset, path, error in convert(worker, cads, out, roots, definitions, on_share):
            if path is None:
                broken.append(asset.address)
                click.echo(f"{asset.address}: {error}", err=True)
    click.echo(f"{out}: {total - len(broken)} models of {', '.join(cads)}")
    _conclude(broken, total, "could not be converted; the others were")
