"""The commands that let others trust a run: `p3dgen verify`, `replay`, `licenses` and `provenance`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from p3d_gen.cli.common import (
    base_dir_option,
    blender_options,
    licence_option,
    name_option,
    out_option,
    run_folder_argument,
)
from p3d_gen.core.commandline import print_wide
from p3d_gen.run.live import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p3d_gen.dataset.licences import AssetUse
    from p3d_gen.render.stage import Supervision
    from p3d_gen.verify import Verification

_SHOWN_FINDINGS = 20


def _amount(_: click.Context, __: click.Parameter, text: str | None) -> Callable[[int], int] | None:
    from p3d_gen.verify import amount

    try:
        return amount(text) if text else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _show_agreement(verification: Verification) -> None:
    import numpy as np

    iou, box_px, depth, nocs_px = np.array([(a.iou, a.box_px, a.depth, a.nocs_px) for a in verification.agreements]).T
    first, median = np.percentile(iou, [1, 50])
    click.echo(
        f"{len(iou)} samples: mask IoU worst {iou.min():.4f}, 1st percentile {first:.4f}, median {median:.4f}; "
        f"box edges off by at most {box_px.max():.2f} px, median {np.median(box_px):.2f} px"
    )
    if not np.isnan(depth).any():
        click.echo(f"depth off the mesh along the rays by at most {depth.max():.1e} box diagonals (99th percentile)")
    if not np.isnan(nocs_px).any():
        click.echo(f"object coordinates project to at most {nocs_px.max():.3f} px from their pixels (99th percentile)")


def _show(verification: Verification, path: Path) -> None:
    """Print the checks and the findings."""
    if verification.agreements:
        _show_agreement(verification)
    table = Table("check", "findings")
    for check, count in verification.by_check.items():
        if check != "rerender" or verification.rerendered:
            table.add_row(check, str(count) if count else "none")
    print_wide(table)
    again = f", {len(verification.rerendered)} of them made again" if verification.rerendered else ""
    click.echo(f"{verification.samples} packed samples{again}, {verification.failed} known failures: {path}")
    for told in verification.unchecked:
        click.echo(f"not checked: {told}", err=True)
    for finding in verification.findings[:_SHOWN_FINDINGS]:
        click.echo(f"  {finding}", err=True)


@click.command()
@run_folder_argument
@name_option
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes; one per processor by default.")
@click.option(
    "--rerender",
    metavar="SHARE|NUMBER",
    callback=_amount,
    help="Share or number of samples to make again through all stages and compare, such as 1% or 20.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the choice of samples for --rerender.",
)
@out_option
@base_dir_option
@blender_options
def verify(
    run_folder: Path,
    name: str,
    workers: int | None,
    rerender: Callable[[int], int] | None,
    seed: int,
    out: Path | None,
    base_dir: Path | None,
    supervision: Supervision,
) -> None:
    """Check a run: checksums, counts, schema, labels, geometry, composites, duplicates.

    The findings are written to RUN/verify.json, each with its place and remedy. The exit status is 1 if there are any.
    Models and pictures that the run was made from need not be there, except for --rerender; what cannot be checked
    without them is said.

    \b
    Example:
      p3dgen verify runs/quickstart
      p3dgen verify runs/quickstart --rerender 1%
    """
    from p3d_gen.run.local import available_cores
    from p3d_gen.run.store import open_run
    from p3d_gen.spec.inventory import KINDS
    from p3d_gen.verify import Rerender, verify_run, write_verification

    run = open_run(run_folder, needs=KINDS if rerender else (), base_dir=base_dir)
    device = "cpu" if supervision.device == "CPU" else "auto"
    again = Rerender(how_many=rerender, seed=seed, supervision=supervision, device=device) if rerender else None
    with progress_bar() as progress:
        total = len(run.manifest.categories) * run.manifest.samples_per_category
        on_sample = partial(progress.advance, progress.add_task("verify", total=total))
        verification = verify_run(run, name, workers or len(available_cores()), on_sample, again)
    path = write_verification(run, verification, out)
    _show(verification, path)
    if verification.findings:
        raise click.ClickException(f"{len(verification.findings)} findings, listed in {path}")
    if not verification.samples:
        raise click.ClickException(f"{run_folder} holds no packed sample: run `p3dgen pack` first")


@click.command()
@run_folder_argument
@click.argument("key")
@name_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder to which the members of the sample are written.")
@base_dir_option
@blender_options
def replay(
    run_folder: Path, key: str, name: str, out: Path | None, base_dir: Path | None, supervision: Supervision
) -> None:
    """Make one sample of a run again through all stages, and compare it bit by bit with the stored one.

    The exit status is 1 if they differ. Pixels are the same on one build and device.

    \b
    Example:
      p3dgen replay runs/quickstart car-000017
      p3dgen replay runs/quickstart car-000017 --out /tmp/car-000017
    """
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.replay import replay_samples, write_members

    run = open_run(run_folder, base_dir=base_dir)
    device = "cpu" if supervision.device == "CPU" else "auto"
    (replayed,) = replay_samples(run, open_stylization(run, name), [key], supervision, device)
    if out:
        click.echo(f"{write_members(out, replayed)} files in {out}")
    members = sum(map(len, replayed.made.values()))
    if replayed.differences:
        build = f"; it was made with other versions: {replayed.build}" if replayed.build else ""
        differences = "\n".join(f"  {difference}" for difference in replayed.differences)
        raise click.ClickException(f"{replayed.key} differs from the sample in {run_folder}{build}\n{differences}")
    click.echo(f"{replayed.key}: {members} members made again, all identical")


def _licence_table(used: Sequence[tuple[AssetUse, int]]) -> Table:
    """Return a table with a row for each kind of asset and its licence, unknown ones first."""
    from p3d_gen.spec.licences import UNKNOWN

    groups: dict[tuple[bool, str, str], list[tuple[AssetUse, int]]] = {}
    for each, samples in used:
        groups.setdefault((each.licence.id != UNKNOWN, each.kind, each.licence.id), []).append((each, samples))
    table = Table("kind", "licence", "stated in", "assets", "uses")
    for (_, kind, licence), members in sorted(groups.items()):
        stated_in = sorted({each.licence.stated_in for each, _ in members})
        more = " ..." if len(stated_in) > 1 else ""
        table.add_row(kind, licence, stated_in[0] + more, str(len(members)), str(sum(n for _, n in members)))
    return table


@click.command()
@run_folder_argument
@name_option
@licence_option
@out_option
@base_dir_option
def licenses(
    run_folder: Path, name: str, allow_licenses: tuple[str, ...], out: Path | None, base_dir: Path | None
) -> None:
    """List the assets of a finished run's samples with their licences, and write RUN/licences.json.

    A folder of assets states licences by <file>.license, licences.toml ("<glob>" = "<SPDX id>") or a LICENSE file. A
    licence that is not stated is unknown.

    \b
    Example:
      p3dgen licenses runs/quickstart --allow-licenses CC0-1.0,CC-BY-4.0
    """
    from p3d_gen.run.shards import reading_samples
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.provenance import check_allowed, used_assets, write_licences

    run = open_run(run_folder, needs=(), base_dir=base_dir)
    stylization = open_stylization(run, name)
    with reading_samples(run_folder):
        used = used_assets(run, stylization)
    print_wide(_licence_table(used))
    click.echo(write_licences(run, stylization, used, out))
    if allow_licenses:
        check_allowed([each for each, _ in used], allow_licenses)


@click.command()
@run_folder_argument
@click.argument("key", default="")
@name_option
@out_option
@base_dir_option
def provenance(run_folder: Path, key: str, name: str, out: Path | None, base_dir: Path | None) -> None:
    """Write the origin of every sample of a finished run to RUN/provenance.jsonl, or print that of one KEY.

    It consists of assets with their sha256 and licences, prompt, stylizer, seeds, and the command and versions of each
    stage.

    \b
    Example:
      p3dgen provenance runs/quickstart
      p3dgen provenance runs/quickstart car-000017
    """
    from p3d_gen.run.shards import reading_samples
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.stylization import open_stylization
    from p3d_gen.verify.provenance import provenance_entries, write_provenance

    run = open_run(run_folder, needs=(), base_dir=base_dir)
    stylization = open_stylization(run, name)
    with reading_samples(run_folder):
        if key:
            click.echo(json.dumps(next(provenance_entries(run, stylization, key)), indent=2))
        else:
            click.echo(write_provenance(run, stylization, out))
