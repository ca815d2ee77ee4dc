"""The commands by which others can trust a run: `p3dgen verify`, `replay`, `licences` and `provenance`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from p3d_gen.cli.common import blender_options, licence_option, name_option, run_folder_argument
from p3d_gen.core.commandline import print_wide
from p3d_gen.run.live import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p3d_gen.render.stage import Supervision
    from p3d_gen.verify import Verification
    from p3d_gen.verify.provenance import AssetUse

_SHOWN_FINDINGS = 20


def _amount(_: click.Context, __: click.Parameter, text: str | None) -> Callable[[int], int] | None:
    from p3d_gen.verify import amount

    try:
        return amount(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _tell_agreement(found: Verification) -> None:
    import numpy as np

    iou, box_px, depth, nocs_px = np.array([(a.iou, a.box_px, a.depth, a.nocs_px) for a in found.agreements]).T
    first, median = np.percentile(iou, [1, 50])
    click.echo(
        f"{len(iou)} samples: mask IoU worst {iou.min():.4f}, 1st percentile {first:.4f}, median {median:.4f}; "
        f"box edges off by at most {box_px.max():.2f} px, in the median {np.median(box_px):.2f} px"
    )
    if not np.isnan(depth).any():
        click.echo(f"depth off the mesh along the rays by at most {depth.max():.1e} box diagonals (99th percentile)")
    if not np.isnan(nocs_px).any():
        click.echo(f"object coordinates project to at most {nocs_px.max():.3f} px from their pixels (99th percentile)")


def _tell(found: Verification, path: Path) -> None:
    """What was looked at, and what is wrong."""
    if found.agreements:
        _tell_agreement(found)
    table = Table("check", "findings")
    for check, count in found.by_check.items():
        if check != "rerender" or found.rerendered:
            table.add_row(check, str(count) if count else "none")
    print_wide(table)
    again = f", {len(found.rerendered)} of them made again" if found.rerendered else ""
    click.echo(f"{found.samples} packed samples{again}, {found.failed} known failures: {path}")
    for finding in found.findings[:_SHOWN_FINDINGS]:
        click.echo(f"  {finding}", err=True)


@click.command()
@run_folder_argument
@name_option
@click.option("--workers", type=click.IntRange(min=1), help="Processes; one per processor where not given.")
@click.option(
    "--rerender",
    metavar="SHARE|NUMBER",
    callback=_amount,
    help="Make this many samples again through all stages and compare them: 1%, or 20.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the choice of samples that --rerender makes; another one chooses others.",
)
@blender_options
def verify(
    run_folder: Path,
    name: str,
    workers: int | None,
    rerender: Callable[[int], int] | None,
    seed: int,
    supervision: Supervision,
) -> None:
    """Check that a run is what it says: checksums, counts, schema, labels, geometry, composites, duplicates.

    What is found stands in RUN/verify.json, with where, what and the remedy; the exit status is then 1.

    \b
    Example:
      p3dgen verify runs/quickstart
      p3dgen verify runs/quickstart --rerender 1%
    """
    from p3d_gen.run.local import available_cores
    from p3d_gen.run.store import open_run
    from p3d_gen.verify import Rerender, verify_run, write_verification

    run = open_run(run_folder)
    device = "cpu" if supervision.device == "CPU" else "auto"
    again = Rerender(how_many=rerender, seed=seed, supervision=supervision, device=device) if rerender else None
    with progress_bar() as progress:
        total = len(run.manifest.categories) * run.manifest.samples_per_category
        on_sample = partial(progress.advance, progress.add_task("verify", total=total))
        found = verify_run(run, name, workers or len(available_cores()), on_sample, again)
    path = write_verification(run, found)
    _tell(found, path)
    if found.findings:
        raise click.ClickException(f"{len(found.findings)} findings; all of them stand in {path}")
    if not found.samples:
        raise click.ClickException(f"{run_folder} holds no sample")


@click.command()
@run_folder_argument
@click.argument("key")
@name_option
@click.option("--out", type=click.Path(path_type=Path), help="A folder for the sample's members, to look at them.")
@blender_options
def replay(run_folder: Path, key: str, name: str, out: Path | None, supervision: Supervision) -> None:
    """Make one sample of a run again through all stages, and compare it bit by bit with what the run holds.

    The exit status is 1 where they differ. Pixels are the same on one build and device.

    \b
    Example:
      p3dgen replay runs/quickstart car-000017
      p3dgen replay runs/quickstart car-000017 --out /tmp/car-000017
    """
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.replay import replay_samples, write_members

    run = open_run(run_folder)
    device = "cpu" if supervision.device == "CPU" else "auto"
    (found,) = replay_samples(run, open_stylization(run, name), [key], supervision, device)
    if out:
        click.echo(f"{write_members(out, found)} files in {out}")
    members = sum(map(len, found.made.values()))
    if found.differences:
        build = f"; it was made with other versions: {found.build}" if found.build else ""
        told = "\n".join(f"  {difference}" for difference in found.differences)
        raise click.ClickException(f"{found.key} is not what {run_folder} holds{build}\n{told}")
    click.echo(f"{found.key}: {members} members made again, each the same to the bit")


def _licence_table(used: Sequence[tuple[AssetUse, int]]) -> Table:
    """A row for each kind of asset and its licence, unknown ones first."""
    from p3d_gen.spec.licences import UNKNOWN

    groups: dict[tuple[bool, str, str], list[tuple[AssetUse, int]]] = {}
    for each, samples in used:
        groups.setdefault((each.licence.id != UNKNOWN, each.kind, each.licence.id), []).append((each, samples))
    table = Table("what", "licence", "stated in", "how many", "uses")
    for (_, kind, licence), members in sorted(groups.items()):
        stated_in = sorted({each.licence.stated_in for each, _ in members})
        more = " ..." if len(stated_in) > 1 else ""
        table.add_row(kind, licence, stated_in[0] + more, str(len(members)), str(sum(n for _, n in members)))
    return table


@click.command()
@run_folder_argument
@name_option
@licence_option
def licences(run_folder: Path, name: str, allow_licenses: tuple[str, ...]) -> None:
    """List what a finished run's samples are made of, with licences; all of it stands in RUN/licences.json.

    A folder source states licences by <file>.license, licences.toml ("<glob>" = "<SPDX id>") or a LICENSE file; what
    is not stated is unknown.

    \b
    Example:
      p3dgen licences runs/quickstart --allow-licenses CC0-1.0,CC-BY-4.0
    """
    from p3d_gen.run.shards import reading_samples
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.provenance import check_allowed, used_assets, write_licences

    run = open_run(run_folder)
    what = open_stylization(run, name)
    with reading_samples(run_folder):
        used = used_assets(run, what)
    print_wide(_licence_table(used))
    click.echo(write_licences(run, what, used))
    if allow_licenses:
        check_allowed([each for each, _ in used], allow_licenses)


@click.command()
@run_folder_argument
@click.argument("key", default="")
@name_option
def provenance(run_folder: Path, key: str, name: str) -> None:
    """Write where every sample of a finished run comes from to RUN/provenance.jsonl, or print it of one KEY.

    Assets with their sha256 and licences, prompt, stylizer, seeds, and the command and versions of each stage.

    \b
    Example:
      p3dgen provenance runs/quickstart
      p3dgen provenance runs/quickstart car-000017
    """
    from p3d_gen.run.shards import reading_samples
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.provenance import provenance_entries, write_provenance

    run = open_run(run_folder)
    what = open_stylization(run, name)
    with reading_samples(run_folder):
        if key:
            click.echo(json.dumps(next(provenance_entries(run, what, key)), indent=2))
        else:
            click.echo(write_provenance(run, what))
