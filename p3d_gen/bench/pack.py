"""`p3dgen bench pack`: packing against its bare floor, two workers against one, and the reading of packed shards.

The inputs are a few renders, each used many times with other keys and other backgrounds.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.bench import show
from p3d_gen.bench.scenes import SIDE_PX, SMALLEST_PX, square, temporary_run
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.core.codecs import encode_jpeg
from p3d_gen.core.errors import DependencyError, RunError
from p3d_gen.core.types import Picture
from p3d_gen.pack.stage import pack_shard
from p3d_gen.render.prepare import ensure_models
from p3d_gen.render.stage import ShardRenderer
from p3d_gen.run.files import compact_json
from p3d_gen.run.ledgers import Remarks, seal, stage_inputs
from p3d_gen.run.local import one_core, run_shards
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.spec.sampling import sample_key, spec
from p3d_gen.stylize.stage import stylized
from p3d_gen.stylize.stylization import open_stylization

Figures = dict[str, Any]
_BACKGROUNDS, _BACKGROUND_HW = 48, (600, 800)
_QUALITY = 95
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, _QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


def _write_backgrounds(folder: Path) -> None:
    """Write pictures of noise at several scales."""
    for number in range(_BACKGROUNDS):
        rng = np.random.default_rng([0, 1, number])
        layers = (rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for size in (4, 30, 200))
        large = [cv2.resize(layer, _BACKGROUND_HW[::-1], interpolation=cv2.INTER_CUBIC) for layer in layers]
        picture = np.mean(large, axis=0).astype(np.uint8)
        (folder / f"{number:03d}.jpg").write_bytes(encode_jpeg(picture, 90))


def _under_key(members: Members, key: str, index: int) -> Members:
    return members | {"json": compact_json(json.loads(members["json"]) | {"key": key, "index": index})}


def _fill(run: RunFolder, images: int) -> None:
    """Seal the run's render and stylize shards, made of `images` different images."""
    specs = [spec(run.manifest, run.inventory, "car", index) for index in range(images)]
    stylization, failures, remarks = open_stylization(run), [], Remarks()  # type: ignore[var-annotated]
    with BlenderWorker() as worker:
        renders = list(ShardRenderer(run, worker, "car").samples(specs, failures))
    sidecars = [members for _, members in stylized(run, stylization, renders, failures, "cpu", remarks)]
    if failures:
        raise RunError(f"the inputs could not be made: {failures[0].reason}")
    for shard in run.all_shards():
        _, indices = run.members_of(shard)
        keys = [sample_key("car", index) for index in indices]
        again = islice(cycle(members for _, members in renders), len(keys))
        samples = [_under_key(each, key, index) for each, key, index in zip(again, keys, indices, strict=True)]
        render = seal(run, "render", shard, stage_inputs(run, "render"), zip(keys, samples, strict=True), [])
        inputs = stage_inputs(run, stylization.stage, render, made_from=stylization.made_from(run))
        seal(run, stylization.stage, shard, inputs, zip(keys, cycle(sidecars), strict=False), [])


@contextmanager
def inputs(shards: int, per_shard: int, images: int = 12, **sections: dict[str, Any]) -> Iterator[RunFolder]:
    """Make a temporary run with shards to pack. images: number of different renders. sections: those of a manifest."""
    with ScratchFolder() as folder:
        _write_backgrounds(folder)
        sections = {"render": {"samples": 1}, "background": {"source": str(folder)}, **sections}
        with temporary_run(["car"], shards * per_shard, per_shard, **sections) as run:
            ensure_models(run.root)
            opened = open_run(run.root)
            _fill(opened, min(images, per_shard))
            yield opened


# The floor: the work that packing cannot avoid, written as simply as possible and without the stage's own code


_floor_picture = cache(cv2.imread)


def _floor_background(path: str, side: int, share: float) -> Picture:
    """Return a square of a background, its side a share of the background's height, resized."""
    picture = _floor_picture(path)
    cut = round(picture.shape[0] * share)
    method = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture[-cut:, -cut:], (side, side), interpolation=method), dtype=np.uint8)


def _linear(srgb: NDArray[Any]) -> NDArray[np.float32]:
    srgb = srgb.astype(np.float32) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _floor_composite(front: Picture, alpha: Picture, back: Picture) -> Picture:
    """Composite pictures in BGR, with linear light at pixels that the front covers in part."""
    picture = cv2.copyTo(front, alpha, back.copy())
    rows, columns = np.nonzero((alpha > 0) & (alpha < 255))
    share = (alpha[rows, columns] / np.float32(255))[:, None]
    light = share * _linear(front[rows, columns]) + (1 - share) * _linear(back[rows, columns])
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    picture[rows, columns] = np.rint(255 * srgb)
    return np.asarray(picture, dtype=np.uint8)


def _whole_samples(tar: tarfile.TarFile) -> Iterator[tuple[str, Members]]:
    last, members = "", Members()
    for info in tar:
        key, _, name = info.name.partition(".")
        if key != last and members:
            yield last, members
            members = {}
        last, members[name] = key, tar.extractfile(info).read()  # type: ignore[union-attr]  # a plain file
    yield last, members


def floor(render: Path, stylize: Path, backgrounds: list[str], out: Path) -> int:
    """Decode, composite, encode and append samples to a tar. Return their number."""
    count = 0
    with tarfile.open(render) as renders, tarfile.open(stylize) as sidecars, tarfile.open(out, "w") as packed:
        pairs = zip(_whole_samples(renders), _whole_samples(sidecars), strict=True)
        for (key, members), (_, sidecar) in pairs:
            front = cv2.imdecode(np.frombuffer(sidecar["stylized.png"], np.uint8), cv2.IMREAD_COLOR)
            alpha = cv2.imdecode(np.frombuffer(members["render.png"], np.uint8), cv2.IMREAD_UNCHANGED)[..., 3]
            share = 0.6 + 0.4 * (count % 10 / 10)  # as the windows of samples
            back = _floor_background(backgrounds[count % len(backgrounds)], front.shape[0], share)
            picture = _floor_composite(front, np.ascontiguousarray(alpha), back)
            labels = json.loads(members["json"]) | json.loads(sidecar["stylize.json"])
            files = {
                "jpg": cv2.imencode(".jpg", picture, _JPEG)[1].tobytes(),
                "mask.png": members["mask.png"],
                "depth.npz": members["depth.npz"],
                "json": json.dumps(labels).encode(),
            }
            for name, content in files.items():
                info = tarfile.TarInfo(f"{key}.{name}")
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content))
            count += 1
    return count


# Measurements


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _unpack(run: RunFolder) -> None:
    shutil.rmtree(run.root / "shards", ignore_errors=True)


def pack_over_floor(run: RunFolder, rounds: int) -> Figures:
    """Measure the whole stage over its floor on the same shards, in turns, on one core: the median of the ratios."""
    backgrounds = [str(asset.path) for asset in run.inventory.backgrounds]
    shard, *_ = run.all_shards()
    samples = len(run.members_of(shard)[1])
    out = run.root / "floor.tar"

    def bare() -> int:
        return floor(run.tar("render", shard), run.tar("stylize", shard), backgrounds, out)

    def whole() -> Any:
        return pack_shard(str(run.root), shard)

    pairs = []
    with one_core():
        bare(), whole()  # so both have their backgrounds in memory
        for _ in range(rounds):
            _unpack(run)
            pairs.append((_seconds(whole) / samples, _seconds(bare) / samples))
    out.unlink()
    stage, least = (median(each) for each in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    show(
        f"packing, {run.manifest.camera.image_hw[0]} px, milliseconds per sample on one core",
        ("work", "ms"),
        [("whole stage", 1e3 * stage), ("bare decode, composite, encode, append", 1e3 * least), ("ratio", ratio)],
    )
    return {"pack_over_floor": ratio, "pack_s_per_sample": stage}


def _rate(run: RunFolder, workers: int) -> float:
    """Return the samples per second while all workers are busy: from the first quarter to the last tenth."""
    _unpack(run)
    ticks: list[float] = []
    list(run_shards(pack_shard, str(run.root), run.all_shards(), workers, lambda: ticks.append(time.perf_counter())))
    first, last = len(ticks) // 4, len(ticks) * 9 // 10
    return (last - first) / (ticks[last] - ticks[first])


def workers(run: RunFolder, rounds: int) -> Figures:
    """Measure two pinned workers over one, in turns: the median of the ratios."""
    pairs = []
    for _ in range(rounds):
        with one_core():
            one = _rate(run, 1)
        pairs.append((_rate(run, 2), one))
    two, one = (median(each) for each in zip(*pairs, strict=True))
    ratio = median(more / less for more, less in pairs)
    show("workers", ("workers", "samples/s"), [("one worker", one), ("two pinned workers", two), ("ratio", ratio)])
    return {"workers2_over_1": ratio, "samples_per_s_2_workers": two}


def reading(run: RunFolder) -> Figures:
    """Return the figures of `pose-models bench read` for the packed shards.

    It is run as a command, because nothing here imports the pose models. Raise DependencyError if it cannot run.
    """
    command = shutil.which("pose-models", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if command is None:
        raise DependencyError("reading is measured by `pose-models`, which is missing: pip install 'p3dgen[pose]'")
    done = subprocess.run(
        [command, "bench", "read", "--shards", str(run.root / "shards"), "--rounds", "2"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        (reason,) = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise DependencyError(f"`pose-models bench read` failed ({reason}): pip install 'p3dgen[pose]'")
    *table, figures = done.stdout.splitlines()
    print("\n".join(table))
    return dict(json.loads(figures))


def measure(shards: int = 8, per_shard: int = 60, rounds: int = 5, side_px: int = SIDE_PX) -> Figures:
    """Measure all figures on one set of inputs."""
    with inputs(shards, per_shard, camera=square(side_px)) as run:
        return pack_over_floor(run, 3 * rounds) | workers(run, rounds) | reading(run)


# The arguments with which `measure` measures as little as possible.
SMALLEST: dict[str, int] = {"shards": 2, "per_shard": 4, "rounds": 1, "side_px": SMALLEST_PX}
