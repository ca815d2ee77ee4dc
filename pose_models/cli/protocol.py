"""`pose-models protocol`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.commandline import print_wide
from p3d_gen.core.errors import RunError
from pose_models.cli.options import COUNT, FILE, FOLDER, SEED, cads_option, device_option, option, out_option

if TYPE_CHECKING:
    from pose_models.protocols.manifest import Protocol
    from pose_models.protocols.planner import ProtocolJob, ProtocolPlan, ProtocolRequest


@click.command()
@click.argument("manifest", type=FILE)
@option("--data", required=True, type=FOLDER, help="Folder of the dataset, in its published layout.")
@option(
    "--shards",
    metavar="[NAME=]FOLDER",
    multiple=True,
    help="Run, or folder of its shards, with the renders that the protocol calls NAME; may be repeated.",
)
@cads_option
@out_option("the tables and, in OUT/steps, every step")
@option(
    "--seed",
    "seeds",
    multiple=True,
    type=SEED,
    default_text="those of the protocol",
    help="Seed to run every row with; may be repeated.",
)
@option("--row", "rows", metavar="NAME", multiple=True, help="Run only this row of the table; may be repeated.")
@option("--column", "columns", metavar="NAME", multiple=True, help="Run only this column; may be repeated.")
@option("--setting", "settings", metavar="NAME", multiple=True, help="Run only this setting; may be repeated.")
@option("--category", "categories", metavar="NAME", multiple=True, help="Use only this category; may be repeated.")
@option("--limit", type=COUNT, help="Adapt to and evaluate on this number of images of each category, the first ones.")
@option(
    "--set",
    "changes",
    multiple=True,
    metavar="[STEP.]OPTION=VALUE",
    help="Another value for an option of the steps, such as steps=50 or evaluate.mirror=true; may be repeated.",
)
@option("--keep-going", is_flag=True, help="Continue with the other rows if a step fails.")
@option("--dry-run", is_flag=True, help="Print the commands without running them.")
@device_option
def protocol(manifest: Path, out: Path, keep_going: bool, dry_run: bool, device: str, **options: Any) -> None:
    """Run the protocol of a paper and print its table, with the published and the measured figures.

    Each step is a command of pose-models with its own log. Steps that rows share are run once. When you repeat the
    command, finished steps are skipped and interrupted ones resume.

    \b
    Examples:
      pose-models protocol manifests/protocols/cc3d_table2.toml --data PASCAL3D+_release1.1 --shards runs/p3d/shards
        --out runs/cc3d-table2
      pose-models protocol manifests/protocols/3duda_table1.toml --data OOD-CV --cads runs/p3d/cad --out runs/quick
        --seed 0 --setting transductive --category car --limit 50 --set steps=100 --set epochs=2
    """
    from p3d_gen.run.files import write_bytes
    from pose_models.protocols.manifest import load_protocol
    from pose_models.protocols.planner import make_plan

    main = _commands()
    chosen = load_protocol(manifest)
    plan = make_plan(chosen, _request(manifest, chosen, options), main)
    if dry_run:
        _print_commands(plan, main, out, device)
        return
    write_bytes(out / manifest.name, manifest.read_bytes())
    _run(plan, out, device, keep_going)


def _commands() -> click.Group:
    """Return the group of all commands, to which a plan's commands belong."""
    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group)
    return root


def _run(plan: ProtocolPlan, out: Path, device: str, keep_going: bool) -> None:
    from pose_models.protocols.manifest import EVALUATE
    from pose_models.protocols.run import run_jobs
    from pose_models.protocols.table import notes, write_protocol
    from pose_models.report.tables import rich_table

    main = _commands()

    failed: list[str] = []

    def on_failure(job: ProtocolJob, error: RunError) -> None:
        failed.append(job.name)
        click.echo(str(error))

    def on_start(job: ProtocolJob) -> None:
        click.echo(f"{numbers[job.name]}: {job.row} ...")

    numbers = {job.name: f"{number}/{len(plan.jobs)} {job.name}" for number, job in enumerate(plan.jobs, 1)}
    for done in run_jobs(plan.jobs, main, out, device, on_start, on_failure=on_failure if keep_going else None):
        click.echo(f"{numbers[done.job.name]}: {'already finished' if done.before else f'{done.seconds:.0f} s'}")
        if done.job.step == EVALUATE:
            write_protocol(out, plan)
    tables = write_protocol(out, plan)
    for table in tables:
        print_wide(rich_table(table))
    for line in notes(plan):
        click.echo(line)
    click.echo(f"tables written to {out}")
    if failed:
        raise RunError(f"{len(failed)} of {len(plan.jobs)} steps failed: {', '.join(failed)}")


def _request(manifest: Path, chosen: Protocol, options: dict[str, Any]) -> ProtocolRequest:
    from pose_models.protocols.planner import ProtocolRequest

    shards = _named(options["shards"], chosen.shards)
    cads = options["cads"]
    return ProtocolRequest(
        manifest=manifest.resolve(),
        data=options["data"].resolve(),
        shards={name: Path(folder).resolve() for name, folder in shards.items()},
        cads=None if cads is None else cads.resolve(),
        limit=options["limit"],
        changes=dict(_pair(text) for text in options["changes"]),
        seeds=options["seeds"] or None,
        rows=options["rows"] or None,
        columns=options["columns"] or None,
        settings=options["settings"] or None,
        categories=options["categories"] or None,
    )


def _named(shards: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the folders of renders by name. A folder without a name belongs to the first name of the protocol."""
    folders: dict[str, str] = {}
    for text in shards:
        name, equals, folder = text.partition("=")
        if not equals and not names:
            raise click.UsageError(f"--shards {text}: this protocol does not use renders; leave it out")
        name, folder = (name, folder) if equals else (names[0], text)
        if name in folders:
            raise click.UsageError(f"--shards names the renders {name!r} twice")
        folders[name] = folder
    return folders


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--set {text}: write OPTION=VALUE or STEP.OPTION=VALUE")
    return name, value


def _print_commands(plan: ProtocolPlan, main: click.Command, out: Path, device: str) -> None:
    from pose_models.protocols.commands import leaf_command
    from pose_models.protocols.planner import STEPS, arguments

    for job in plan.jobs:
        for part in job.parts or ("",):
            words = arguments(job, leaf_command(main, job.command), out / STEPS, device, part)
            click.echo(f"pose-models {shlex.join(words)}")
    click.echo(f"{len(plan.jobs)} steps, {len(plan.cells)} evaluations")
