"""Stage 3: render and stylised picture -> composite -> one complete WebDataset shard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from p3d_gen.assets.backgrounds import background
from p3d_gen.composite import composite
from p3d_gen.engines import make_shard, tick
from p3d_gen.errors import AssetError
from p3d_gen.files import Members, compact_json, read_shard
from p3d_gen.images import decode_image, encode_jpeg, encode_png
from p3d_gen.manifest import Output
from p3d_gen.sampling import spec
from p3d_gen.store import Failure, Ledger, Run

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


def joined(run: Run, shard: str) -> Iterator[tuple[str, Members]]:
    """The samples of the stylised shard, each with its render's members."""
    renders = read_shard(run.tar("render", shard))
    for key, stylized in read_shard(run.tar("stylize", shard)):
        render = next(members for render_key, members in renders if render_key == key)
        yield key, render | stylized


def _samples(run: Run, shard: str, failures: list[Failure]) -> Iterator[tuple[str, Members]]:
    paths = {asset.id: asset.path for asset in run.inventory.backgrounds}
    for key, members in joined(run, shard):
        try:
            yield key, _pack_sample(run, members, paths)
        except AssetError as error:
            failures.append(Failure(key=key, reason=str(error)))
        tick()


def pack_shard(run_dir: str, shard: str) -> Ledger:
    """Pack one shard, or return its ledger where it is finished already."""
    return make_shard(run_dir, "shards", shard, ("render", "stylize"), _samples)
