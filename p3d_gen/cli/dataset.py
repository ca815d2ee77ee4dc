"""The commands `p3dgen dataset make`, `check` and `schema`, and `p3dgen export`: runs as datasets for others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.cli.common import RunFolderType, name_option
from p3d_gen.core.commandline import Group
from p3d_gen.run.live import progress_bar

if TYPE_CHECKING:
    from p3d_gen.dataset.survey import Survey

_UNITS = {"": None, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_KINDS = ("cad", "texture", "background", "hdri")


@click.group(cls=Group)
def dataset() -> None:
    """Make datasets of finished runs, with splits that share no assets, and check them."""


def _shard_size(context: click.Context, parameter: click.Parameter, value: str) -> dict[str, int]:
    match = re.fullmatch(r"(\d+) ?(|[KMG]B)", value)
    if not match or int(match[1]) == 0:
        raise click.BadParameter(f"{value!r} is not a size: give samples, such as 1000, or bytes, such as 500MB")
    unit = _UNITS[match[2]]
    return {"shard_samples": int(match[1])} if unit is None else {"shard_bytes": int(match[1]) * unit}


def _shares(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, float]:
    shares = {}
    for each in value:
        match = re.fullmatch(r"([a-z][a-z0-9_]*)=(\d+(?:\.\d*)?|\.\d+)", each)
        if not match:
            raise click.BadParameter(f"{each!r} is not a split: give NAME=SHARE, such as train=0.8")
        if match[1] in shares:
            raise click.BadParameter(f"the split {match[1]!r} is named twice")
        shares[match[1]] = float(match[2])
    return shares


@dataset.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--out", type=RunFolderType(exists=False), required=True, help="Folder of the dataset; made if needed.")
@name_option
@click.option(
    "--split",
    "shares",
    metavar="NAME=SHARE",
    multiple=True,
    callback=_shares,
    default=("train=0.8", "val=0.1", "test=0.1"),
    show_default=True,
    help="Name of a split and its share of the assets; may be repeated.",
)
@click.option(
    "--split-by",
    type=click.Choice(_KINDS),
    multiple=True,
    default=("cad",),
    show_default=True,
    help="Kind of assets that no two splits may share; may be repeated. Samples whose assets belong to different "
    "splits are left out.",
)
@click.option(
    "--shard-size",
    metavar="SIZE",
    callback=_shard_size,
    default="1000",
    show_default=True,
    help="Largest size of a shard: a number of samples, or of bytes, such as 500MB.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of splits and order.")
@click.option("--depth16", is_flag=True, help="Keep depth in 16 bits (depth.png16) instead of depth.npz.")
def make(
    runs: tuple[str, ...],
    out: Path,
    name: str,
    shares: dict[str, float],
    split_by: tuple[str, ...],
    shard_size: dict[str, int],
    seed: int,
    depth16: bool,
) -> None:
    """Make a dataset of the packed shards of finished runs: split by assets, merged, shuffled, re-sharded.

    RUN is a run folder, or NAME=FOLDER. If there are several runs, the keys of their samples begin with their names.
    The runs are only read. Interrupted work resumes when you repeat the command.

    \b
    Example:
      p3dgen dataset make runs/quickstart --out datasets/quickstart
      p3dgen dataset make runs/a runs/b --split-by cad --split-by texture --shard-size 500MB --out datasets/ab
    """
    from p3d_gen.dataset.build import make_dataset
    from p3d_gen.dataset.source_runs import open_sources
    from p3d_gen.dataset.splits import Recipe
    from p3d_gen.spec.sections import validated

    given: dict[str, Any] = {"seed": seed, "shares": shares, "split_by": split_by, "depth16": depth16, **shard_size}
    recipe = validated(Recipe, given, "the command line", "recipe")
    with progress_bar() as progress:
        task = progress.add_task("dataset", total=None)
        summary = make_dataset(
            out, open_sources(runs, name), recipe, lambda n: progress.update(task, advance=1, total=n)
        )
    for split, content in summary["splits"].items():
        categories = ", ".join(f"{count} {category}" for category, count in content["categories"].items())
        click.echo(f"{split}: {content['samples']} samples in {content['shards']} shards ({categories})")
    click.echo(f"left out, because their assets belong to different splits: {summary['left_out']}")
    click.echo(f"dataset: {out}")


def _conclude(survey: Survey) -> None:
    for split, content in survey.splits.items():
        click.echo(f"{split}: {content.samples.total()} samples in {len(content.shards)} shards")
    for finding in survey.findings:
        click.echo(finding, err=True)
    if survey.findings:
        raise click.ClickException(f"{len(survey.findings)} faults, listed above")


@dataset.command()
@click.argument("folder", type=RunFolderType(exists=True))
def check(folder: Path) -> None:
    """Check a dataset: checksums of shards, schema of labels, keys, and leaks between splits.

    \b
    Example:
      p3dgen dataset check datasets/quickstart
    """
    from p3d_gen.dataset.check import check_dataset
    from p3d_gen.dataset.folder import open_dataset

    _conclude(check_dataset(open_dataset(folder)))
    click.echo("no leaks, no faults")


@dataset.command()
@click.option("--document", is_flag=True, help="Print a document for readers instead of JSON Schema.")
def schema(document: bool) -> None:
    """Print the schema of a packed sample's labels.

    \b
    Example:
      p3dgen dataset schema > schema.json
    """
    import json

    from p3d_gen.dataset import schema as of_samples

    text = of_samples.document() if document else json.dumps(of_samples.json_schema(), indent=2) + "\n"
    click.echo(text, nl=False)


@click.command()
@click.argument("kind", metavar="FORMAT", type=click.Choice(("coco", "bop", "pascal3d", "nemo")))
@click.argument("folder", metavar="RUN_OR_DATASET", type=RunFolderType(exists=True))
@click.option("--out", type=RunFolderType(exists=False), required=True, help="Folder of the export; made if needed.")
@name_option
def export(kind: str, folder: Path, out: Path, name: str) -> None:
    """Write a finished run or dataset in the format of COCO, BOP, PASCAL3D+ or NeMo.

    The samples of a run become the split train. Interrupted exports resume when you repeat the command.

    \b
    Example:
      p3dgen export coco datasets/quickstart --out coco
      p3dgen export bop runs/quickstart --out bop
    """
    from p3d_gen.export import export as write
    from p3d_gen.export.inputs import open_input

    source = open_input(folder, name)
    with progress_bar() as progress:
        task = progress.add_task("export", total=None)
        write(kind, source, out, lambda: progress.advance(task))
    click.echo(f"{kind}: {out}")
