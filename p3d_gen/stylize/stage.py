"""The stage itself: a rendered shard becomes a sidecar shard with the same keys.

A sidecar sample holds the control picture, the stylized picture, its provenance and its label survival.
"""

from __future__ import annotations

import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from p3d_gen.core.codecs import decode_image, encode_png
from p3d_gen.core.errors import DependencyError
from p3d_gen.core.silhouette import camera_of
from p3d_gen.core.types import Picture
from p3d_gen.run.ahead import ahead
from p3d_gen.run.cad_model import stretched
from p3d_gen.run.files import compact_json
from p3d_gen.run.ledgers import Failure, Ledger, Remarks
from p3d_gen.run.local import available_cores
from p3d_gen.run.shards import Members, read_shard, reading_samples
from p3d_gen.run.stage import make_shard, tick, worker_number
from p3d_gen.run.store import RunFolder, shared_run
from p3d_gen.spec.manifest import resolve_folder
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.control import control_picture
from p3d_gen.stylize.edges import on_grey, resized
from p3d_gen.stylize.flow import Refusal, Task, in_batches, in_rounds, thread_pool
from p3d_gen.stylize.judge import Judge, load_judge
from p3d_gen.stylize.prompts import Style, style
from p3d_gen.stylize.stylization import Stylization, open_stylization
from p3d_gen.stylize.survival import Expected, expected_edges, survival

if TYPE_CHECKING:
    from p3d_gen.stylize.diffusion import DiffusionStylizer

_THREADS = 4


@dataclass(frozen=True, kw_only=True)
class _RenderedSample:
    """The data of one render that the stage needs.

    rgb, alpha: straight colours and coverage. on_grey: the render in front of Blender's grey world. controls: the
    pictures that guide the stylizer. expected: the edges that the label predicts.
    """

    key: str
    labels: dict[str, Any]
    rgb: Picture
    alpha: Picture
    on_grey: Picture
    controls: tuple[Picture, ...]
    expected: Expected


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A picture (H, W, 3) of a sample.

    fault: its fault, "" for none. style: its colour, prompt and seed. residual_deg: the pose residual by the settings'
    pose model, None without one.
    """

    picture: Picture
    fault: str
    style: Style
    residual_deg: float | None = None


Make = Callable[[Sequence[Task[_RenderedSample]]], list[_Made]]


def expected_of(run: RunFolder, labels: dict[str, Any], members: Members) -> Expected:
    """Return the edges that the label of a render predicts."""
    model = run.load_model(labels["category"], labels["cad_id"])
    hidden = decode_image(members["occluders.png"]) > 0 if "occluders.png" in members else None
    vertices = stretched(model, labels["stretch_xyz"])
    return expected_edges(vertices, model.faces, np.array(labels["cam_T_obj"]), camera_of(labels), hidden)


def _rendered_sample(run: RunFolder, settings: Stylize, sample: tuple[str, Members]) -> _RenderedSample:
    key, members = sample
    with reading_samples(run.root / "render", key):
        rgba, labels = decode_image(members["render.png"]), json.loads(members["json"])
        rgb = np.ascontiguousarray(rgba[..., :3])
        return _RenderedSample(
            key=key,
            labels=labels,
            rgb=rgb,
            alpha=rgba[..., 3],
            on_grey=on_grey(rgb, rgba[..., 3]),
            controls=tuple(
                control_picture(control, settings.canny, members, labels, settings.resolution)
                for control in settings.control
            ),
            expected=expected_of(run, labels, members),
        )


def _style(run: RunFolder, stylization: Stylization, task: Task[_RenderedSample]) -> Style:
    labels = task.source.labels
    attempt = len(task.refusals)
    definition = run.inventory.definition(labels["category"])
    return style(run.manifest, stylization.settings, stylization.templates, definition, labels["index"], attempt)


@functools.lru_cache(maxsize=1)
def _pipeline(settings_json: str, base_dir: Path, device: str) -> DiffusionStylizer:
    """Return the loaded pipeline, which is kept for the next shard of this process."""
    from p3d_gen.stylize.diffusion import DiffusionStylizer

    return DiffusionStylizer(Stylize.model_validate_json(settings_json), base_dir, device)


_pose_judge = functools.lru_cache(maxsize=1)(load_judge)


def count_gpus() -> int:
    """Return the number of GPUs that torch can use. Raise DependencyError if torch is not installed."""
    try:
        import torch
    except ImportError as error:
        raise DependencyError(f"the stylizer needs torch ({error}): pip install 'p3dgen[stylize]'") from None
    return int(torch.cuda.device_count())


def device_of_worker(device: str, number: int) -> str:
    """Return the device of one process of a pool: each process gets its own of several GPUs."""
    gpus = count_gpus() if device in ("auto", "cuda") else 0
    return f"cuda:{number % gpus}" if gpus else device


def _pass_through(run: RunFolder, stylization: Stylization) -> Make:
    def make(tasks: Sequence[Task[_RenderedSample]]) -> list[_Made]:
        return [
            _Made(
                picture=task.source.rgb,
                fault="flat" if np.ptp(task.source.rgb) == 0 else "",
                style=_style(run, stylization, task),
            )
            for task in tasks
        ]

    return make


def _diffused(run: RunFolder, stylization: Stylization, model: DiffusionStylizer, remarks: Remarks) -> Make:
    from p3d_gen.stylize.diffusion import PictureRequest

    settings = stylization.settings

    def make(tasks: Sequence[Task[_RenderedSample]]) -> list[_Made]:
        styles = [_style(run, stylization, task) for task in tasks]
        requests = [
            PictureRequest(
                controls=task.source.controls,
                init=resized(task.source.on_grey, settings.resolution),
                prompt=style.prompt,
                negative_prompt=settings.negative_prompt,
                seed=style.seed,
            )
            for task, style in zip(tasks, styles, strict=True)
        ]
        halved, start = model.halvings, time.perf_counter()
        made = model(requests, run.manifest.camera.image_hw)
        remarks.model_seconds += time.perf_counter() - start
        if model.halvings > halved:
            remarks.notes["out of memory, batch halved"] += model.halvings - halved
        return [
            _Made(picture=each.picture, fault=each.fault, style=style) for each, style in zip(made, styles, strict=True)
        ]

    return make


def _with_residuals(make: Make, judge: Judge) -> Make:
    """Add to `make` the judgement of a pose model about the pictures of each batch, the objects alone."""

    def judged(tasks: Sequence[Task[_RenderedSample]]) -> list[_Made]:
        made = make(tasks)
        pictures = [on_grey(each.picture, task.source.alpha) for each, task in zip(made, tasks, strict=True)]
        residuals = judge(pictures, [task.source.labels for task in tasks])
        return [replace(each, residual_deg=residual) for each, residual in zip(made, residuals, strict=True)]

    return judged


def _flat_grey(picture: Picture) -> Picture:
    """Return a control picture as it is stored: one channel if all three are equal."""
    return picture[..., 0] if (picture == picture[..., :1]).all() else picture


def _judge(
    settings: Stylize, provenance: dict[str, Any], task: Task[_RenderedSample], made: _Made
) -> Members | Refusal:
    """Return the members of a sidecar sample, or a refusal if the picture is faulty or does not show the pose."""
    if made.fault:
        return Refusal(fault=made.fault)
    source = task.source
    survived = survival(made.picture if settings.stylizer != "none" else source.on_grey, source.expected)
    if survived.score < settings.min_survival:
        return Refusal(fault=f"label survival below {settings.min_survival}", survival=survived.score)
    if made.residual_deg is not None and made.residual_deg > settings.max_residual_deg:
        return Refusal(fault=f"pose residual above {settings.max_residual_deg} degrees", survival=survived.score)
    made_by = {
        "colour": made.style.colour,
        "prompt": made.style.prompt,
        "negative_prompt": settings.negative_prompt,
        "stylize_seed": made.style.seed,
        "attempts": len(task.refusals) + 1,
        "survival": survived.score,
        "edge_precision": survived.edge_precision,
        "edge_recall": survived.edge_recall,
        "silhouette": survived.silhouette,
    } | ({} if made.residual_deg is None else {"pose_residual_deg": made.residual_deg})
    return {
        "edges.png": encode_png(_flat_grey(source.controls[0])),
        "stylized.png": encode_png(made.picture),
        "stylize.json": compact_json(made_by | provenance),
    }


def _failure(key: str, refusals: Sequence[Refusal]) -> Failure:
    """Return the failure of a sample: the faults of its pictures, with their counts."""
    counts = Counter(refusal.fault for refusal in refusals)
    best = max(refusal.survival for refusal in refusals)
    faults = ", ".join(f"{fault} ({count})" for fault, count in counts.items())
    score = f", at best {best:.2f}" if best else ""
    return Failure(key=key, reason=f"given up after {len(refusals)} pictures: {faults}{score}")


def stylized(
    run: RunFolder,
    stylization: Stylization,
    renders: Iterable[tuple[str, Members]],
    failures: list[Failure],
    device: str,
    remarks: Remarks,
) -> Iterator[tuple[str, Members]]:
    """Yield the sidecar samples of renders, made in batches in their order: the bytes depend on nothing else.

    Samples that cannot be made are appended to `failures`.
    """
    cv2.setNumThreads(1)  # sums of floats depend on the number of threads, and a run must not
    settings = stylization.settings
    if settings.stylizer == "none":
        make, retries = _pass_through(run, stylization), 0  # the next picture would be the same
        provenance = {"stylizer": "none"}
    else:
        model = _pipeline(settings.model_dump_json(), stylization.base_dir, device_of_worker(device, worker_number()))
        make, retries = _diffused(run, stylization, model, remarks), settings.retries
        provenance = {"stylizer": settings.stylizer, **{f"stylizer_{k}": v for k, v in model.provenance.items()}}
    if settings.pose_model:
        pose_model = resolve_folder(settings.pose_model, stylization.base_dir, "stylize.pose_model")
        pose_judge = _pose_judge(pose_model, device_of_worker(device, worker_number()))
        make, provenance = _with_residuals(make, pose_judge), provenance | pose_judge.provenance
    with thread_pool(min(_THREADS, len(available_cores()))) as pool:
        sources = in_batches(renders, settings.batch, functools.partial(_rendered_sample, run, settings), pool)
        judge = functools.partial(_judge, settings, provenance)
        with closing(ahead(in_rounds(ahead(sources), make, judge, retries, pool))) as rounds:
            for task in chain.from_iterable(rounds):
                remarks.notes.update(refusal.fault for refusal in task.refusals)
                if task.members is None:
                    failures.append(_failure(task.source.key, task.refusals))
                else:
                    yield task.source.key, task.members
                tick()


def _samples(
    stylization: Stylization, device: str, remarks: Remarks, run: RunFolder, shard: str, failures: list[Failure]
) -> Iterator[tuple[str, Members]]:
    return stylized(run, stylization, read_shard(run.tar("render", shard)), failures, device, remarks)


def stylize_shard(run_dir: str, shard: str, name: str = "", device: str = "auto") -> Ledger:
    """Stylize one shard and return its ledger. A shard that is already finished is not made again.

    name: name of the stylization, "" for the manifest's own. device: `auto` for a GPU if there is one, `cpu` or `cuda`;
    pixels are the same on one build and device.
    """
    run = shared_run(run_dir, ())
    stylization = open_stylization(run, name)
    remarks = Remarks()
    make = functools.partial(_samples, stylization, device, remarks)
    return make_shard(
        run, stylization.stage, shard, ("render",), make, made_from=stylization.made_from(run), remarks=remarks
    )
