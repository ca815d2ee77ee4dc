"""The scenes that benchmarks render: those of the stage itself, with single settings changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.passes import Passes, read_passes
from p3d_gen.blender.protocol import RenderAnswer, RenderRequest, TimedAnswer, TimedRequest
from p3d_gen.core.errors import RunError
from p3d_gen.core.types import Picture
from p3d_gen.render.prepare import ensure_models
from p3d_gen.render.stage import ShardRenderer, render_shard
from p3d_gen.run.local import run_shards
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder, create_run
from p3d_gen.spec.sampling import spec
from p3d_gen.stylize.edges import on_grey

SIDE_PX = 512
SMALLEST_PX = 64


def square(side_px: int) -> dict[str, Any]:
    """Return the section `camera` of square pictures. Its lens is the default one, which every object fits into."""
    return {"image_hw": [side_px, side_px]}


def _manifest(categories: Sequence[str], samples: int, shard_size: int, sections: dict[str, Any]) -> str:
    """Return a manifest of embedded models at the default quality, except for `sections`."""
    lines = [f"categories = {list(categories)}", f"samples_per_category = {samples}", f"shard_size = {shard_size}"]
    for name, section in {"camera": square(SIDE_PX), **sections}.items():
        lines += [f"[{name}]", *(f"{key} = {value!r}" for key, value in section.items())]
    return "\n".join(lines)


@contextmanager
def temporary_run(
    categories: Sequence[str], samples: int, shard_size: int, **sections: dict[str, Any]
) -> Iterator[RunFolder]:
    """Make a temporary run of embedded models. sections: those of a manifest."""
    with ScratchFolder() as folder:
        manifest = folder / "manifest.toml"
        manifest.write_text(_manifest(categories, samples, shard_size, sections))
        yield create_run(folder / "run", manifest)


def render_all(run: RunFolder, workers: int, on_sample: Callable[[], None] = lambda: None) -> None:
    """Render all shards of a run. RunError if a sample fails: figures over fewer samples would mislead."""
    ledgers = list(run_shards(render_shard, str(run.root), run.all_shards(), workers, on_sample))
    for failure in (failure for ledger in ledgers for failure in ledger.failures):
        raise RunError(f"{failure.key} could not be rendered: {failure.reason}")


class Scenes:
    """The scenes of a run's samples, rendered as the stage does or with other settings."""

    def __init__(self, run: RunFolder, worker: BlenderWorker) -> None:
        """Prepare the run's models."""
        ensure_models(run.root)
        self._run, self._worker = run, worker
        self._renderers: dict[str, ShardRenderer] = {
            name: ShardRenderer(run, worker, name) for name in run.manifest.categories
        }

    def request(self, category: str, index: int) -> RenderRequest:
        """Return the stage's request for a sample."""
        sample = spec(self._run.manifest, self._run.inventory, category, index)
        return self._renderers[category].request(sample, self._run.load_model(category, sample.cad_id))

    def members(self, category: str, index: int, answer: RenderAnswer, passes: Passes) -> Members:
        """Return the members that the stage makes of a sample's render."""
        sample = spec(self._run.manifest, self._run.inventory, category, index)
        model = self._run.load_model(category, sample.cad_id)
        return self._renderers[category].members(sample, model, answer, passes)

    def render(self, request: RenderRequest, settings: dict[str, Any], write: bool = False) -> TimedAnswer:
        """Render a scene with changed settings, by attribute path below Blender's scene."""
        return self._worker.ask(TimedRequest(render=request, settings=settings, write=write))

    def picture(self, request: RenderRequest, settings: dict[str, Any]) -> tuple[float, Picture, NDArray[np.bool_]]:
        """Return the render call's seconds, the picture (H, W, 3) on the grey that edges are taken on, and its mask."""
        answer = self.render(request, settings, write=True)
        passes = read_passes(request.target, answer.render.see_through)
        return answer.seconds, on_grey(passes.rgba[..., :3], passes.rgba[..., 3]), passes.mask
