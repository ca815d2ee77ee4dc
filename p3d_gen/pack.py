"""Stage 3: render and stylised picture -> composite -> one complete WebDataset shard."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.assets.backgrounds import background
from p3d_gen.composite import composite
from p3d_gen.engines import make_shard, tick
from p3d_gen.errors import AssetError, RunError
from p3d_gen.files import Members, compact_json, file_sha256, read_shard
from p3d_gen.images import decode_image, encode_jpeg, encode_png
from p3d_gen.manifest import Output
from p3d_gen.sampling import spec
from p3d_gen.store import Failure, Ledger, Run, open_run
from p3d_gen.stylize.judge import read_residuals
from p3d_gen.stylize.stylization import Stylization, open_stylization

_FILES = {
    "mask": "mask.png",
    "amodal": "amodal.png",
    "occluders": "occluders.png",
    "depth": "depth.npz",
    "normals": "normals.npz",
    "nocs": "nocs.npz",
    "parts": "parts.png",
    "cuboid": "cuboid.npz",
    "render": "render.png",
    "edges": "edges.png",
}


def _encode(pixels: NDArray[np.uint8], output: Output) -> bytes:
    return encode_png(pixels) if output.image_format == "png" else encode_jpeg(pixels, output.jpeg_quality)


def _coverage(members: Members, edge: str) -> NDArray[np.uint8]:
    """How much of each pixel (H, W) is foreground, occluders included: `soft` by alpha, `hard` by the masks."""
    if edge == "soft":
        return decode_image(members["render.png"])[..., 3]
    masks = [decode_image(members[name]) for name in ("mask.png", "occluders.png") if name in members]
    return np.asarray(np.max(masks, axis=0), dtype=np.uint8)


def _pack_sample(run: Run, members: Members, paths: dict[str, Path]) -> Members:
    """The fixed members of one packed sample from those of both earlier stages."""
    labels = json.loads(members["json"])
    sample = spec(run.manifest, run.inventory, labels["category"], labels["index"])
    scene = background(paths[sample.background_id], sample.camera.image_hw, sample.background_window)
    stylized = decode_image(members["stylized.png"])
    image = composite(stylized, _coverage(members, run.manifest.background.edge), scene)
    output = run.manifest.output
    packed: Members = {output.image_format: _encode(image, output)}
    for member in output.members:
        if member == "stylized":
            packed[f"stylized.{output.image_format}"] = _encode(stylized, output)
        elif member in _FILES:
            packed[_FILES[member]] = members[_FILES[member]]
    packed["json"] = compact_json(labels | json.loads(members["stylize.json"]))
    return packed


def joined(run: Run, what: Stylization, shard: str) -> Iterator[tuple[str, Members]]:
    """The samples of a stylization's shard, each with its render's members."""
    renders = read_shard(run.tar("render", shard))
    for key, stylized in read_shard(run.tar(what.stage, shard)):
        render = next(members for render_key, members in renders if render_key == key)
        yield key, render | stylized


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Pose residuals, as `pose-models folds` writes them, and how large one may be in degrees."""

    files: tuple[Path, ...]
    max_deg: float

    def residuals(self) -> dict[str, float]:
        """The residuals of all files by sample key."""
        return {key: residual for path in self.files for key, residual in read_residuals(path).items()}

    def identity(self) -> dict[str, Any]:
        """What decides which samples stay."""
        return {"residuals": [file_sha256(path) for path in self.files], "max_residual_deg": self.max_deg}


def _filtered(
    samples: Iterable[tuple[str, Members]], by: Filter, failures: list[Failure]
) -> Iterator[tuple[str, Members]]:
    """The samples whose pose residual is small enough, with the residual among their labels."""
    residuals = by.residuals()
    for key, members in samples:
        if key not in residuals:
            files = ", ".join(map(str, by.files))
            raise RunError(f"{files}: there is no pose residual of {key}; judge all shards that are to be packed")
        if residuals[key] > by.max_deg:
            reason = f"pose residual of {residuals[key]:.0f} degrees, above {by.max_deg:g}"
            failures.append(Failure(key=key, reason=reason))
            tick()
        else:
            labels = json.loads(members["stylize.json"]) | {"pose_residual_deg": residuals[key]}
            yield key, members | {"stylize.json": compact_json(labels)}


def _samples(
    what: Stylization, by: Filter | None, run: Run, shard: str, failures: list[Failure]
) -> Iterator[tuple[str, Members]]:
    paths = {asset.id: asset.path for asset in run.inventory.backgrounds}
    samples = joined(run, what, shard)
    for key, members in _filtered(samples, by, failures) if by else samples:
        try:
            yield key, _pack_sample(run, members, paths)
        except AssetError as error:
            failures.append(Failure(key=key, reason=str(error)))
        tick()


def pack_shard(run_dir: str, shard: str, name: str = "", by: Filter | None = None) -> Ledger:
    """Pack one shard of the stylization of that name, "" for the manifest's own, or return its ledger where it is
    finished already. by: leaves out the samples whose pose residual is too large."""
    run = open_run(Path(run_dir))
    what = open_stylization(run, name)
    made_from = {"manifest": run.manifest_hash, "inventory": run.inventory.listing(), **by.identity()} if by else None
    make = functools.partial(_samples, what, by)
    return make_shard(run, what.packed, shard, ("render", what.stage), make, made_from=made_from)
