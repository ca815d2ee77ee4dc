"""The commands `p3dgen bench`. Each prints tables and, as its last line, one line of JSON with all its figures."""

from __future__ import annotations

from pathlib import Path

import click

from p3d_gen.core.commandline import Group

_PARTS = ("stage", "workers", "settings", "hidden", "memory", "cold")
_STYLIZE_PARTS = ("stage", "speed", "survival")
_FOLDERS = ("run", "dataset", "training", "interrupted training", "adaptation", "interrupted adaptation")
_DAMAGES = ("flip", "truncate", "delete", "swap", "replace", "duplicate")
_KILLED = ("run", "ray", "dataset", "train", "adapt")
_quick = click.option(
    "--quick",
    is_flag=True,
    help="Measure as little as possible, to see that everything works; the figures mean nothing.",
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Group)
def bench() -> None:
    """Measure speed as ratios within one run."""


@bench.command()
@click.option(
    "--part", "parts", type=click.Choice(_PARTS), multiple=True, help="Measure only this part; may be repeated."
)
@_quick
def render(parts: tuple[str, ...], quick: bool) -> None:
    """Measure the render stage: against the bare ray tracer, workers, settings, memory, and a cold start.

    \b
    Example:
      p3dgen bench render --part stage --part workers
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.render import PARTS, SMALLEST

    figures: dict[str, object] = {}
    for part in parts or _PARTS:
        figures |= PARTS[part](**SMALLEST[part] if quick else {})
    conclude(figures)


@bench.command()
@click.option(
    "--part",
    "parts",
    type=click.Choice([*_STYLIZE_PARTS, "colours"]),
    multiple=True,
    help="Measure only this part; may be repeated. colours needs --settings, and is measured only if it is named.",
)
@click.option("--settings", type=_FILE, help="TOML file of the stylization whose colours are measured.")
@click.option("--picture", type=click.Path(path_type=Path), help="JPEG file to write: held-out shapes in six colours.")
@_quick
def stylize(parts: tuple[str, ...], settings: Path | None, picture: Path | None, quick: bool) -> None:
    """Measure the stylize stage: against the bare pipeline, settings, label survival, and the colours of a stylizer.

    On a GPU it measures Stable Diffusion 1.5 and ControlNet 1.1 at 512 x 512, on the CPU a small architecture of the
    same kind. The weights are random; nothing is downloaded.

    \b
    Example:
      p3dgen bench stylize --part stage --part speed
      p3dgen bench stylize --part colours --settings manifests/stylizations/small.toml --picture grid.jpg
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.stylize import PARTS, SMALLEST

    if "colours" in parts and settings is None:
        raise click.UsageError("--part colours needs --settings, the stylization to measure")
    figures: dict[str, object] = {}
    for part in parts or _STYLIZE_PARTS:
        if part == "colours" and settings:
            figures |= _colours(settings, picture, quick)
        else:
            figures |= PARTS[part](**SMALLEST[part] if quick else {})
    conclude(figures)


def _colours(settings: Path, picture: Path | None, quick: bool) -> dict[str, object]:
    from p3d_gen.bench.colours import measure
    from p3d_gen.core.categories import CATEGORIES
    from p3d_gen.spec.stylize import load_settings

    return measure(load_settings(settings), settings.parent, picture, categories=("car",) if quick else CATEGORIES)


@bench.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Repetitions of each part.")
@_quick
def pack(rounds: int, quick: bool) -> None:
    """Measure the pack stage: against its bare floor, two workers against one, and reading back the packed shards.

    The floor decodes the inputs, composites, encodes and appends to a tar, in a bare loop. Reading is measured by
    `pose-models bench read`.

    \b
    Example:
      p3dgen bench pack
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.pack import SMALLEST, measure

    conclude(measure(**SMALLEST if quick else {"rounds": rounds}))


@bench.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to work in, kept for another census."
)
@click.option(
    "--folder", "folders", type=click.Choice(_FOLDERS), multiple=True, help="Damage only this one; may be repeated."
)
@click.option(
    "--damage", "damages", type=click.Choice(_DAMAGES), multiple=True, help="Do only this damage; may be repeated."
)
@click.option("--one-of-each", is_flag=True, help="Damage only the first file of each kind.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Cases at the same time.")
def damage(
    out: Path | None, folders: tuple[str, ...], damages: tuple[str, ...], one_of_each: bool, workers: int
) -> None:
    """Damage every file of a run, a dataset, trainings and adaptations in every way, and count what is detected.

    The folders are small, and are made by the real commands, `pose-models` among them. OUT/cases.jsonl holds what the
    commands said. It takes half an hour on two processors.

    \b
    Example:
      p3dgen bench damage --out /tmp/damage
      p3dgen bench damage --out /tmp/damage --folder dataset --damage flip
    """
    from contextlib import ExitStack

    from p3d_gen.bench import conclude
    from p3d_gen.bench.damage import SPECIMENS, measure
    from p3d_gen.bench.damages import DAMAGES
    from p3d_gen.run.live import progress_bar
    from p3d_gen.run.scratch import ScratchFolder

    with ExitStack() as stack:
        work = out or stack.enter_context(ScratchFolder())
        progress = stack.enter_context(progress_bar())
        task = progress.add_task("damage", total=None)
        figures = measure(
            work,
            specimens=folders or SPECIMENS,
            damages=damages or tuple(DAMAGES),
            one_of_each=one_of_each,
            workers=workers,
            on_case=lambda total: progress.update(task, advance=1, total=total),
        )
    conclude(figures)


@bench.command()
@click.option("--kills", "number", type=click.IntRange(min=1), default=200, show_default=True, help="Number of kills.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the moments and of what is killed.")
@click.option(
    "--part",
    "parts",
    type=click.Choice(_KILLED),
    multiple=True,
    help="Kill only this command; may be repeated. run and ray are `p3dgen run` in local processes and on Ray, dataset "
    "is `p3dgen dataset make`, train and adapt are `pose-models train` and `adapt 3duda`.",
)
def kills(number: int, seed: int, parts: tuple[str, ...]) -> None:
    """Kill small commands and their processes at random moments, and count what that loses, doubles and leaves behind.

    The commands get SIGTERM, SIGINT or SIGKILL, and their workers, Blenders and Ray workers SIGKILL. Each command is
    repeated until it is done, and what it has made is compared with the same without a kill. 200 kills take about half
    an hour on two cores.

    \b
    Example:
      p3dgen bench kills --kills 20 --part run --part dataset
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.kills import measure

    conclude(measure(number, seed, parts))


@bench.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--size", type=click.IntRange(min=16), default=160, show_default=True, help="Side of the pictures, px.")
@click.option("--samples", type=click.IntRange(min=1), default=128, show_default=True, help="Samples of each pixel.")
def fidelity(folder: Path | None, size: int, samples: int) -> None:
    """Compare models in their own materials with Blender's own import of the same files.

    Both are rendered with the same camera, light and seed, without denoiser. The likeness is given in
    dB (PSNR) over the object. Without FOLDER, the models are made here: colours of vertices, several texture
    coordinates, glass, procedural materials and more, in all formats that Blender writes.

    \b
    Example:
      p3dgen bench fidelity models --size 160 --samples 128
    """
    from p3d_gen.bench import conclude
    from p3d_gen.bench.fidelity import measure

    conclude(measure(folder, size, samples))
