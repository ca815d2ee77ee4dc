"""Is a finished run what it says? Shards against their checksums, and every stored pose against its mask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from p3d_gen.files import Members, read_shard
from p3d_gen.geometry import project, transform
from p3d_gen.images import decode_image
from p3d_gen.labels import camera_of, mask_box, mask_iou, silhouette
from p3d_gen.render import load_cad
from p3d_gen.store import Run, upstream_ledger


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How well a sample's stored pose and camera explain its mask.

    iou: of the mask and the projected mesh. box_px: the largest distance between an edge of the mask's box and the
    same edge of the box of the projected vertices within the picture.
    """

    key: str
    iou: float
    box_px: float


def agreement(run: Run, key: str, members: Members) -> Agreement:
    """Compare the labels of a packed or rendered sample with its own mask, by nothing but what is stored."""
    labels = json.loads(members["json"])
    camera, pose = camera_of(labels), np.array(labels["cam_T_obj"])
    vertices, faces = load_cad(run.cad_file(labels["category"], labels["cad_id"]))
    mask = decode_image(members["mask.png"]) > 0
    pixels = np.clip(project(transform(pose, vertices), camera), 0, camera.image_hw[::-1])
    box = np.array([*pixels.min(axis=0), *pixels.max(axis=0)])
    return Agreement(
        key=key,
        iou=mask_iou(silhouette(vertices, faces, pose, camera), mask),
        box_px=float(np.abs(box - mask_box(mask)).max()),
    )


def agreements(run: Run) -> Iterator[Agreement]:
    """The agreement of every rendered sample. RunError where a shard is missing or not what its ledger says."""
    for shard in run.all_shards():
        upstream_ledger(run, "shards", shard)
        upstream_ledger(run, "render", shard)
        for key, members in read_shard(run.tar("render", shard)):
            yield agreement(run, key, members)
