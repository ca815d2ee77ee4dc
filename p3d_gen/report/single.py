"""Single samples of a run, to look at and to work with in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from p3d_gen.core.codecs import decode_image, decode_nocs, decode_normals, decode_npz
from p3d_gen.core.errors import DataError, RunError, did_you_mean
from p3d_gen.core.silhouette import camera_of
from p3d_gen.core.types import Array
from p3d_gen.pack.stage import joined
from p3d_gen.report.sheet import draw_labels
from p3d_gen.run.ledgers import Ledger, read_ledger
from p3d_gen.run.shards import Members, list_samples, read_shard, reading_samples
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.sampling import render_key
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.verify.replay import find_sample

_PICTURES = ("jpg", "png", "stylized.png", "render.png")  # of a packed, a stylized, a rendered sample


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Sample:
    """One sample with its labels.

    key: its key in all stages. labels: its JSON labels, explained in docs/generating.md.
    members: name -> content of its files, such as "mask.png". shard: the file that it was read from.
    """

    key: str
    labels: dict[str, Any]
    members: Members
    shard: Path

    def _member(self, name: str) -> bytes:
        if name not in self.members:
            raise DataError(
                f"{self.key} in {self.shard} has no {name}, only {', '.join(self.members)}: "
                "the manifest's output.members says what is kept"
            )
        return self.members[name]

    @property
    def image(self) -> Image.Image:
        """The composite in sRGB. If the sample is not packed yet, the stylized picture; else the render in RGBA."""
        name = next(name for name in _PICTURES if name in self.members)
        with reading_samples(self.shard, self.key):
            return Image.fromarray(decode_image(self.members[name]))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels (H, W) where the object is seen."""
        with reading_samples(self.shard, self.key):
            return decode_image(self._member("mask.png")) > 0

    @property
    def depth(self) -> NDArray[np.float32]:
        """The planar depth z (H, W) in units of the object's box diagonal; 0 where the object is not seen."""
        with reading_samples(self.shard, self.key):
            return np.asarray(decode_npz(self._member("depth.npz"))["depth"], dtype=np.float32)

    @property
    def normals(self) -> NDArray[np.float32]:
        """The surface's unit normals (H, W, 3) in camera axes; 0 where the object is not seen."""
        with reading_samples(self.shard, self.key):
            return decode_normals(self._member("normals.npz"))

    @property
    def nocs(self) -> NDArray[np.float32]:
        """The object coordinates (H, W, 3) in [0, 1]; 0 where the object is not seen."""
        with reading_samples(self.shard, self.key):
            return decode_nocs(self._member("nocs.npz"))

    @property
    def cam_T_obj(self) -> Array:
        """The object's pose (4, 4): points in OpenCV camera axes = cam_T_obj @ points in object axes."""
        return np.array(self.labels["cam_T_obj"])

    @property
    def K(self) -> Array:
        """The camera's intrinsic matrix (3, 3): homogeneous pixels = K @ points in camera axes."""
        return camera_of(self.labels).K

    def draw(self) -> Image.Image:
        """Return the image with the object's box (front face yellow) and axes (x red, y green, z blue) drawn on it."""
        pixels = np.asarray(self.image)
        if pixels.shape[-1] == 4:
            pixels = on_grey(np.ascontiguousarray(pixels[..., :3]), pixels[..., 3])
        return Image.fromarray(draw_labels(pixels, self.labels))

    def _repr_png_(self) -> bytes:
        """Return the drawn sample as PNG: a notebook shows it."""
        buffer = BytesIO()
        self.draw().save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        """Return the key and the names of the members."""
        return f"<Sample {self.key}: {', '.join(self.members)}>"


def _sample(key: str, members: Members, shard: Path) -> Sample:
    with reading_samples(shard, key):
        labels = json.loads(members["json"]) | json.loads(members.get("stylize.json", b"{}"))
    return Sample(key=key, labels=labels, members=members, shard=shard)


def _furthest(run: RunFolder, stylization: Stylization, shard: str) -> tuple[str, Ledger] | None:
    """Return the last stage that has finished a shard, and its ledger; None if no stage has."""
    for stage in (stylization.packed, stylization.stage, "render"):
        if ledger := read_ledger(run, stage, shard):
            return stage, ledger
    return None


def _finished(run: RunFolder, stylization: Stylization) -> Iterator[tuple[str, str, Ledger]]:
    """Yield (shard, last stage that has finished it, its ledger) of all shards that any stage has finished, except
    those without samples."""
    for shard in run.all_shards():
        if (furthest := _furthest(run, stylization, shard)) and furthest[1].count:
            yield shard, *furthest


def count_samples(run: RunFolder, stylization: Stylization) -> int:
    """Return the number of samples made so far, each counted in the last stage that has finished its shard."""
    return sum(ledger.count for _, _, ledger in _finished(run, stylization))


def read_keys(run: RunFolder, stylization: Stylization) -> Iterator[str]:
    """Yield the keys of the samples made so far, in order, without reading their contents."""
    for shard, stage, _ in _finished(run, stylization):
        yield from (sample.key for sample in list_samples(run.tar(stage, shard)))


def read_samples(run: RunFolder, stylization: Stylization) -> Iterator[Sample]:
    """Yield the samples made so far, in order, each as the last stage left it."""
    for shard, stage, _ in _finished(run, stylization):
        tar = run.tar(stage, shard)
        samples = joined(run, stylization, shard) if stage == stylization.stage else read_shard(tar)
        for key, members in samples:
            yield _sample(key, members, tar)


def read_sample(run: RunFolder, stylization: Stylization, key: str) -> Sample:
    """Read one sample as the last stage left it.

    RunError if the run has no such key, or the sample is not made yet or could not be made.
    """
    shard, _, _ = find_sample(run, key)
    furthest = _furthest(run, stylization, shard)
    if furthest is None:
        raise RunError(f"{key} is not made yet: {run.root} holds no finished shard {shard}; render it first")
    stage, ledger = furthest
    tar = run.tar(stage, shard)
    stages = ("render", stage) if stage == stylization.stage else (stage,)
    members: Members = {}
    for each in stages if ledger.count else ():
        members |= next((content for _, content in read_shard(run.tar(each, shard), keys={key})), {})
    if "json" in members and (len(stages) == 1 or "stylize.json" in members):
        return _sample(key, members, tar)
    for failure in ledger.failures:
        if failure.key == key:
            raise RunError(f"{key} could not be made: {failure.reason}")
    stored = list_samples(tar) if ledger.count else ()
    of_render = [sample.key for sample in stored if render_key(sample.key) == render_key(key)]
    hint = did_you_mean(key, of_render) if of_render else "; it failed in an earlier stage, see Run.failures"
    raise RunError(f"{tar} holds no sample {key!r}{hint}")
