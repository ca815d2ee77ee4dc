"""The command `p3dgen train-stylizer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from p3d_gen.cli.common import Effort, blender_options, progress_bar

if TYPE_CHECKING:
    from p3d_gen.render.stage import Supervision


@click.command("train-stylizer")
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to make or to resume.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Rendering processes; one per processor by default.")
@click.option("--train-on", default="auto", show_default=True, help="cpu, cuda or cuda:N; auto takes a GPU if it can.")
@blender_options
def train_stylizer(recipe: Path, out: Path, workers: int | None, train_on: str, how: Supervision) -> None:
    """Render pairs and train a small ControlNet stylizer on them: OUT/model/base and OUT/model/controlnet.

    \b
    Example:
      p3dgen train-stylizer manifests/stylizer/recipe.toml --out runs/stylizer
    """
    from p3d_gen.cli.stages import render_run
    from p3d_gen.run.store import create_run
    from p3d_gen.stylize.training.fit import pick_device, train
    from p3d_gen.stylize.training.pairs import read_pairs
    from p3d_gen.stylize.training.recipe import load_recipe

    what = load_recipe(recipe)
    device = pick_device(train_on)
    tars = []
    for name in ("prior", "target"):
        run = create_run(out / name, recipe.parent / getattr(what, name))
        render_run(run, Effort(workers=workers), how)
        tars.append([run.tar("render", shard) for shard in run.all_shards()])
    pairs = read_pairs(*tars)
    with progress_bar() as progress:
        tasks = {name: progress.add_task(name, total=None) for name in ("autoencoder", "denoiser")}

        def on_step(name: str, step: int, steps: int, loss: float) -> None:
            progress.update(tasks[name], completed=step, total=steps, description=f"{name} {loss:.4f}")

        model = train(what, pairs, out, device, on_step)
    click.echo(f"trained on {len(pairs)} pairs: {model}")
