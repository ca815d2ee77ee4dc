"""The command `p3dgen train-stylizer`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from p3d_gen.cli.common import BlenderOptions, stage_blender_options
from p3d_gen.run.live import LiveProgress, progress_bar


@click.command("train-stylizer")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to make or to resume.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Rendering processes; one per processor by default.")
@click.option(
    "--train-on",
    default="auto",
    show_default=True,
    help="Device that trains: cpu, cuda, cuda:N or auto.",
)
@stage_blender_options
def train_stylizer(recipe: Path, out: Path, workers: int | None, train_on: str, blender: BlenderOptions) -> None:
    """Render pairs and train a small ControlNet stylizer on them: OUT/model/base and OUT/model/controlnet.

    \b
    Example:
      p3dgen train-stylizer manifests/stylizer/recipe.toml --out runs/stylizer
    """
    from p3d_gen.api import create_run
    from p3d_gen.run.store import open_run
    from p3d_gen.stylize.training.fit import pick_device, train
    from p3d_gen.stylize.training.pairs import read_pairs
    from p3d_gen.stylize.training.recipe import load_recipe

    settings = load_recipe(recipe)
    device = pick_device(train_on)
    tars = []
    for name in ("prior", "target"):
        manifest = recipe.parent / getattr(settings, name)
        create_run(out / name, manifest).render(
            workers=workers,
            allow_failures=sys.maxsize,  # training does without the samples that failed
            **blender,
            progress=LiveProgress(click.echo),
        )
        run = open_run(out / name)
        tars.append([run.tar("render", shard) for shard in run.all_shards()])
    pairs = read_pairs(*tars)
    with progress_bar() as progress:
        tasks = {name: progress.add_task(name, total=None) for name in ("autoencoder", "denoiser")}

        def on_step(name: str, step: int, steps: int, loss: float) -> None:
            progress.update(tasks[name], completed=step, total=steps, description=f"{name} {loss:.4f}")

        model = train(settings, pairs, out, device, on_step)
    click.echo(f"trained on {len(pairs)} pairs: {model}")
