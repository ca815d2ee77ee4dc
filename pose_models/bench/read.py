"""Reading packed shards through `pose_models.data` against the bare floor: open the tar, read, decode."""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from p3d_gen.bench import show
from pose_models.data.shards import read_shard

_DECODED = {"jpg": cv2.IMREAD_COLOR, "png": cv2.IMREAD_COLOR, "mask.png": cv2.IMREAD_GRAYSCALE}
_DECODED |= {"occluders.png": cv2.IMREAD_GRAYSCALE}


def _floor(path: Path) -> int:
    """Decode what a training reads of a shard, and nothing else; how many samples that were."""
    samples = 0
    with tarfile.open(path, "r:") as tar:
        for info in tar:
            _, _, member = info.name.partition(".")
            if member == "json":
                json.load(BytesIO(tar.extractfile(info).read()))  # type: ignore[union-attr]  # a plain file
                samples += 1
            elif member in _DECODED:
                content = np.frombuffer(tar.extractfile(info).read(), np.uint8)  # type: ignore[union-attr]
                picture = cv2.imdecode(content, _DECODED[member])
                if picture.ndim == 3:
                    cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    return samples


def _through_data(path: Path) -> int:
    return sum(1 for _ in read_shard(path))


def _unchecked(path: Path) -> int:
    return sum(1 for _ in read_shard(path, check=False))


def _seconds(read: Callable[[Path], int], path: Path) -> float:
    """Measure the seconds per sample."""
    start = time.perf_counter()
    samples = read(path)
    return (time.perf_counter() - start) / samples


def _in_turn(ways: Sequence[Callable[[Path], int]], path: Path, first: int) -> list[float]:
    """Measure each way's seconds per sample, in their order from `first` on; returned in the order of the ways."""
    numbers = range(len(ways))
    seconds = {number: _seconds(ways[number], path) for number in (*numbers[first:], *numbers[:first])}
    return [seconds[number] for number in numbers]


def figures(shards: Sequence[Path], rounds: int) -> dict[str, Any]:
    """Measure `read_over_floor` and `checksums_over_none`: ratios of seconds per sample, the medians over shards and
    rounds.

    The ways to read take turns in going first, since the first one finds the shard outside the processor's caches.
    """
    cv2.setNumThreads(1)
    for path in shards:  # into the memory of the system
        _floor(path), _through_data(path)
    ways = (_through_data, _unchecked, _floor)
    reads = [(round_ + number, path) for round_ in range(rounds) for number, path in enumerate(shards)]
    times = [_in_turn(ways, path, first % len(ways)) for first, path in reads]
    read, unchecked, floor = (median(each) for each in zip(*times, strict=True))
    ratio = median(ours / bare for ours, _, bare in times)
    checks = median(ours / other for ours, other, _ in times)
    show(
        "reading packed samples, milliseconds each",
        ("what", "ms"),
        [
            ("through pose_models.data", 1e3 * read),
            ("the same without checksums", 1e3 * unchecked),
            ("bare tar and decode", 1e3 * floor),
            ("ratio to bare", ratio),
            ("ratio to none", checks),
        ],
    )
    return {"read_over_floor": ratio, "checksums_over_none": checks, "read_s_per_sample": read}
