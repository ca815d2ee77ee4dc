"""The command `p3dgen assets orient`. It imports heavy modules itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from p3d_gen.cli.assets import AXES, category_option, pages_option
from p3d_gen.core.commandline import Choice
from p3d_gen.core.errors import AssetError, ConfigError

if TYPE_CHECKING:
    from p3d_gen.blender.client import BlenderWorker
    from p3d_gen.catalogue.check import Checked
    from p3d_gen.catalogue.collect import Collection
    from p3d_gen.spec.inventory import Asset

_STATED = tuple(axis for axis in AXES if axis != "auto")


def _draw(worker: BlenderWorker, category: str, asset: Asset, root: Path | None, picture: Path) -> Checked:
    """Draw a model, and say what its picture shows. AssetError if it cannot be used."""
    from p3d_gen.catalogue.check import check_model
    from p3d_gen.catalogue.check_page import axes_text, write_picture
    from p3d_gen.spec.definitions import define

    definition = define(category, None, None if asset.is_parametric else asset.path)[0]
    checked = check_model(worker, definition, asset, root, with_views=True)
    if checked.report.error:
        raise AssetError(f"{asset.address} cannot be used: {checked.report.error}")
    write_picture(picture, checked)
    click.echo(f"{category}/{asset.id}: {axes_text(checked.report)}; see {picture}")
    for warning in checked.report.warnings:
        click.echo(f"  {warning}")
    return checked


def _ask(text: str, default: str) -> str:
    try:
        return str(click.prompt(text, default=default, type=click.Choice(_STATED), show_choices=False))
    except click.Abort:
        click.echo()
        raise ConfigError("nobody answers: give the axes of the file by --up and --front") from None


def _asked(worker: BlenderWorker, category: str, asset: Asset, root: Path | None, out: Path) -> tuple[str, str]:
    """Ask for a model's axes until its picture is right, and return them as axes of its file."""
    from dataclasses import replace

    from p3d_gen.catalogue.orient import file_axes

    while True:
        report = _draw(worker, category, asset, root, out / "orient.png").report
        click.echo("Axes in the picture: x red, y green, z blue, such as -y. The front is marked orange.")
        seen_up = _ask("Which one ought to point up", "z")
        seen_front = _ask("Which one ought to point to the front", "-y" if seen_up[-1] != "y" else "z")
        if seen_up[-1] == seen_front[-1]:
            click.echo("These lie on one axis: give two different ones.")
            continue
        up, front = file_axes(report.up, report.front, seen_up, seen_front)
        if (seen_up, seen_front) == ("z", "-y"):
            return up, front
        asset = replace(asset, up=up, front=front, axes_from="option")


def _check_axes(up: str | None, front: str | None) -> None:
    if (up is None) != (front is None):
        raise ConfigError("give both --up and --front, or neither to be asked")
    if up and front and up[-1] == front[-1]:
        raise ConfigError(f"--up {up} and --front {front} lie on one axis: give two different axes")


def _first(collection: Collection) -> tuple[str, Asset]:
    return next((category, models[0]) for category, models in collection.cads.items())


@click.command("orient")
@click.argument("source", metavar="MODEL|FOLDER")
@category_option
@click.option("--up", type=Choice(_STATED), help="Axis of the files that points up.")
@click.option("--front", type=Choice(_STATED), help="Axis of the files that points to the front.")
@pages_option
def orient(source: str, category: str | None, up: str | None, front: str | None, out: Path) -> None:
    """State which axes of CAD files point up and to the front.

    They are written to <model>.toml beside the file of a MODEL, or to category.toml in the folder of each category of a
    FOLDER, where they hold for all its models that have no axes of their own. Without --up and --front, the first model
    is drawn to OUT/orient.png, and you are asked how it ought to stand.

    \b
    Examples:
      p3dgen assets orient mugs/one.obj --category mug
      p3dgen assets orient cad --up z --front x
    """
    from p3d_gen.blender.client import BlenderWorker
    from p3d_gen.catalogue.collect import Wanted, collect
    from p3d_gen.catalogue.orient import check_can_state, places, write_axes

    _check_axes(up, front)
    collection = collect(source, Wanted(category=category or ""))
    check_can_state([asset for models in collection.cads.values() for asset in models])
    if up is None or front is None:
        with BlenderWorker() as worker:
            up, front = _asked(worker, *_first(collection), collection.root, out)
    for path in places(collection.cads, Path(source).is_file() and not source.endswith(".toml")):
        write_axes(path, up, front)
        click.echo(f"{path}: up {up}, front {front}")
