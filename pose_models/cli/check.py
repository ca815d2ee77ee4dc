"""`pose-models check`."""

from __future__ import annotations

from pathlib import Path

import click

from pose_models.cli.options import FOLDER


@click.command()
@click.argument("folder", metavar="RUN", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
def check(folder: Path, as_json: bool) -> None:
    """Check the files of a training, an adaptation or an evaluation for damage.

    RUN is the --out of a command, or a folder of several. Every file that is kept there is compared with its checksum:
    models, configurations, records, checkpoints and predictions. Pages, pictures, tables and curves are made again from
    them, and are not checked. A fault is one line with the file and a remedy, and the exit status is then 1.

    \b
    Example:
      pose-models check runs/nmm-car
    """
    import json

    from pose_models.soundness import check as check_folder

    result = check_folder(folder)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    for line in (*result.faults, *([] if as_json else result.notes)):
        click.echo(line, err=True)
    if not result.sound:
        raise click.ClickException(f"{len(result.faults)} faults, listed above")
    if not as_json:
        click.echo(f"{folder}: {result.files} files, no faults")
