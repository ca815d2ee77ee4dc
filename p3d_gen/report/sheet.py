"""The contact sheet: render, control picture, stylized picture, and composite with its stored labels drawn on it."""

from __future__ import annotations

import json
from itertools import islice, product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image, encode_jpeg
from p3d_gen.core.errors import RunError
from p3d_gen.core.geometry import box_corners, project, transform
from p3d_gen.core.silhouette import camera_of
from p3d_gen.core.types import Array, Picture
from p3d_gen.pack.stage import joined
from p3d_gen.run.files import write_bytes
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.shards import Members, read_shard, reading_samples
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.sampling import render_key
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.stylization import open_stylization

_AXIS_COLOURS = ((230, 40, 40), (40, 200, 60), (60, 110, 255))
_BOX_COLOUR, _FRONT_COLOUR = (255, 255, 255), (255, 210, 0)
_AXIS_REACH = 0.7  # of the object's extent: 0.2 past the box
_ROW_HEIGHT = 200
_CAPTION = 22
_SUBPIXEL_BITS = 4


def _line(picture: Picture, start: Array, end: Array, colour: tuple[int, int, int]) -> None:
    """Draw an antialiased line between continuous pixel coordinates, with a dark rim that shows on any background."""
    scale = 1 << _SUBPIXEL_BITS
    ends = [tuple(int(v) for v in np.rint((p - 0.5) * scale)) for p in (start, end)]
    for this_colour, thickness in (((0, 0, 0), 3), (colour, 1)):
        cv2.line(picture, ends[0], ends[1], this_colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def box_lines(labels: dict[str, Any]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the edges (12, 2, 2) of the object's 3D box in pixels, and True (12,) for those of the front face.

    The box is projected from its stored pose, camera and extent. A corner behind the camera is NaN.
    """
    extent = np.array(labels["object_extent_xyz"])
    corners = project(transform(np.array(labels["cam_T_obj"]), box_corners(extent)), camera_of(labels))
    edges = np.array([(i, i | 1 << axis) for i, axis in product(range(8), range(3)) if not i & 1 << axis])
    front = 1 << 1  # corners without this bit lie at -y
    return corners[edges], (edges[:, 0] | edges[:, 1]) & front == 0


def axis_lines(labels: dict[str, Any]) -> Array:
    """Return the object's axes x, y, z (3, 2, 2) in pixels, from its centre to a little beyond its box."""
    reach = _AXIS_REACH * np.diag(labels["object_extent_xyz"])
    points = transform(np.array(labels["cam_T_obj"]), np.vstack([np.zeros(3), reach]))
    centre, *tips = project(points, camera_of(labels))
    return np.array([(centre, tip) for tip in tips])


def draw_labels(picture: Picture, labels: dict[str, Any]) -> Picture:
    """Return a copy of an image (H, W, 3) with the object's box and axes drawn on it.

    The front face is yellow, the axes x red, y green, z blue. They are projected
    from the stored pose, camera and extent.
    """
    drawn = picture.copy()
    edges, is_front = box_lines(labels)
    for lines, colour in ((edges[~is_front], _BOX_COLOUR), (edges[is_front], _FRONT_COLOUR)):
        for start, end in lines:
            _line(drawn, start, end, colour)
    for (start, end), colour in zip(axis_lines(labels), _AXIS_COLOURS, strict=True):
        _line(drawn, start, end, colour)
    return drawn


def _resized(picture: Picture) -> Picture:
    width = round(picture.shape[1] * _ROW_HEIGHT / picture.shape[0])
    method = cv2.INTER_AREA if picture.shape[0] > _ROW_HEIGHT else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, _ROW_HEIGHT), interpolation=method), dtype=np.uint8)


def _coloured(picture: Picture) -> Picture:
    """Return a picture (H, W) or (H, W, 3) with three channels."""
    return np.dstack([picture] * 3) if picture.ndim == 2 else picture


def _row(sources: Members, packed: Members, image_format: str) -> Picture:
    """Return four pictures side by side under a caption."""
    labels = json.loads(packed["json"])
    rgba = decode_image(sources["render.png"])
    pictures = (
        on_grey(rgba[..., :3], rgba[..., 3]),
        _coloured(decode_image(sources["edges.png"])),
        decode_image(sources["stylized.png"]),
        draw_labels(decode_image(packed[image_format]), labels),
    )
    row = np.hstack([_resized(picture) for picture in pictures])
    caption = np.zeros((_CAPTION, row.shape[1], 3), np.uint8)
    text = (
        f"{labels['key']}   cad {labels['cad_id']}   '{labels['prompt']}'   stylizer {labels['stylizer']}   "
        f"survival {labels['survival']:.2f}"
    )
    cv2.putText(caption, text, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([caption, row])


def write_contact_sheet(run: RunFolder, per_category: int = 4, name: str = "", out: Path | None = None) -> Path:
    """Write RUN/contact_sheet.jpg, or contact_sheet-NAME.jpg of a named stylization, or `out`; return its path.

    It shows the first packed samples of every category. Raise RunError if no sample was packed.
    """
    rows = []
    stylization = open_stylization(run, name)
    for category in run.manifest.categories:
        ledgers = ((shard, read_ledger(run, stylization.packed, shard)) for shard in run.shards(category))
        shard = next((shard for shard, ledger in ledgers if ledger is None or ledger.count), None)
        if shard is None:  # all of its samples have failed
            continue
        packed = dict(islice(read_shard(run.tar(stylization.packed, shard)), per_category))
        shown = {render_key(key) for key in packed}
        sources = {key: members for key, members in joined(run, stylization, shard) if key in shown}
        with reading_samples(run.tar(stylization.packed, shard)):
            rows += [_row(sources[render_key(key)], packed[key], run.manifest.output.image_format) for key in packed]
    if not rows:
        raise RunError(
            f"{run.root / stylization.packed} holds no sample to show on a contact sheet: run `p3dgen pack` first"
        )
    path = out or stylization.file(run, "contact_sheet", ".jpg")
    write_bytes(path, encode_jpeg(np.vstack(rows), quality=90))
    return path
