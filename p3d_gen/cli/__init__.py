"""The command p3dgen. A stage is imported inside its command, so that --help answers at once."""

from __future__ import annotations

import click
from rich.table import Table

from p3d_gen import __version__
from p3d_gen.cli.assets import assets
from p3d_gen.cli.bench import bench
from p3d_gen.cli.dataset import dataset, export
from p3d_gen.cli.plan import plan
from p3d_gen.cli.results import report, sheet
from p3d_gen.cli.stages import pack, render, run, stylize
from p3d_gen.cli.status import status
from p3d_gen.cli.train_stylizer import train_stylizer
from p3d_gen.cli.trust import licences, provenance, replay, verify
from p3d_gen.core.commandline import Group, print_wide


@click.group(cls=Group)
@click.version_option(__version__, prog_name="p3dgen")
def main() -> None:
    """Synthetic datasets for category-level 3D pose: render, stylize, pack."""


for command in (
    assets,
    bench,
    plan,
    render,
    stylize,
    pack,
    run,
    status,
    sheet,
    report,
    verify,
    replay,
    licences,
    provenance,
    train_stylizer,
    dataset,
    export,
):
    main.add_command(command)


@main.command()
@click.option("--apt", is_flag=True, help="Only print the Debian packages that are missing, for apt-get install.")
def doctor(apt: bool) -> None:
    """Say what is installed, what is missing, and how to get it. Exit status 1 if anything is missing.

    \b
    Example:
      p3dgen doctor
    """
    from p3d_gen.blender.system import missing_system_packages
    from p3d_gen.report.doctor import examine

    if apt:
        click.echo(" ".join(missing_system_packages()))
        return
    findings = examine()
    table = Table("what", "found", "for", "how to get it")
    for finding in findings:
        table.add_row(finding.name, finding.found, finding.purpose, finding.remedy)
    print_wide(table)
    if any(finding.remedy for finding in findings):
        raise click.exceptions.Exit(1)
