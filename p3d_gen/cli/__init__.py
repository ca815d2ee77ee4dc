"""The command line `p3dgen`. Each command imports its stage itself, so that --help answers at once."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.table import Table

from p3d_gen import __version__
from p3d_gen.cli import assets, bench, dataset, orient, plan, results, stages, status, train_stylizer, trust
from p3d_gen.core.commandline import Group, print_wide


@click.group(cls=Group)
@click.version_option(__version__, prog_name="p3dgen")
def main() -> None:
    """Synthetic datasets for category-level 3D pose: render, stylize, pack."""


for command in (
    assets.assets,
    bench.bench,
    plan.plan,
    stages.render,
    stages.stylize,
    stages.pack,
    stages.run,
    status.status,
    results.sheet,
    results.report,
    trust.verify,
    trust.replay,
    trust.licenses,
    trust.provenance,
    train_stylizer.train_stylizer,
    dataset.dataset,
    dataset.export,
):
    main.add_command(command)
assets.assets.add_command(orient.orient)
main.add_alias("licences", trust.licenses)  # its name in version 0.1


@main.command()
@click.option("--apt", is_flag=True, help="Print only the missing Debian packages, for apt-get install.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for a bug report.")
def doctor(apt: bool, as_json: bool) -> None:
    """Show the installed software and the hardware, and how to get what is missing.

    The exit status is 1 if anything is missing that the stages need.

    \b
    Example:
      p3dgen doctor
      p3dgen doctor --json
    """
    from p3d_gen.blender.system import missing_system_packages
    from p3d_gen.report.doctor import examine

    if apt:
        click.echo(" ".join(missing_system_packages()))
        return
    findings = examine()
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        table = Table("name", "state", "used for", "remedy")
        for finding in findings:
            table.add_row(finding.name, finding.state, finding.purpose, finding.remedy)
        print_wide(table)
    if any(finding.remedy and finding.required for finding in findings):
        raise click.exceptions.Exit(1)
