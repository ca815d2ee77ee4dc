"""BOP, scene by scene: each shard is a scene, each CAD model an object, in millimetres.

A model whose file has no unit has no size in millimetres: its box diagonal is 1,000 mm then, and a warning says so.

OUT/models/obj_NNNNNN.ply, models_info.json; OUT/camera.json; OUT/<split>/<scene>/scene_camera.json, scene_gt.json,
scene_gt_info.json, rgb/, depth/, mask/, mask_visib/. Depth is that of the object alone, 0 elsewhere. Boxes count as the
toolkit's do, the last pixel less the first. Beyond the format models_info.json holds `category`, `cad_id`
and, if it is known, `diagonal_m`; scene_gt_info.json holds `key`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.categories import is_name
from p3d_gen.core.codecs import decode_image, encode_png, mask_bytes
from p3d_gen.core.errors import RunError
from p3d_gen.core.silhouette import camera_of, mask_box, silhouette
from p3d_gen.dataset.folder import write_new
from p3d_gen.export.inputs import ExportInput, Shot, shots
from p3d_gen.run.cad_model import CadModel, load_cad
from p3d_gen.run.files import write_bytes, write_json

MM = 1000.0
_log = logging.getLogger(__name__)
_STEP = 1e-4  # of depth, in box diagonals, unless it is too far for that
_MOST = 65535


def _mm(model: CadModel) -> float:
    """Return the millimetres of a box diagonal, which is 1 in a model."""
    return MM * (1.0 if model.diagonal_m is None else model.diagonal_m)


def _info(model: CadModel) -> dict[str, Any]:
    """Return a model's box and diameter, the largest distance between two vertices, in mm."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    points = model.vertices * _mm(model)
    low, size = points.min(axis=0).tolist(), np.ptp(points, axis=0).tolist()
    return {
        **{f"min_{axis}": value for axis, value in zip("xyz", low, strict=True)},
        **{f"size_{axis}": value for axis, value in zip("xyz", size, strict=True)},
        "diameter": float(pdist(points[ConvexHull(points).vertices]).max()),
        **model.symmetry.bop(),
        **({} if model.diagonal_m is None else {"diagonal_m": model.diagonal_m}),
    }


def _ply(model: CadModel) -> bytes:
    """Return a model in mm with vertex normals, as ASCII PLY."""
    import trimesh

    mesh = trimesh.Trimesh(model.vertices * _mm(model), model.faces, process=False)
    content: bytes = trimesh.exchange.ply.export_ply(mesh, encoding="ascii", vertex_normal=True)
    return content


@dataclass(frozen=True)
class _Thing:
    """An object of the export: its number, from 1, and the millimetres of its box diagonal."""

    number: int
    mm: float


def _write_models(cad: Path, out: Path) -> dict[str, _Thing]:
    """Write all models; return the object of each `category/id`."""
    files = sorted(path for path in cad.glob("*/*.npz") if is_name(path.parent.name))  # without a run's occluders
    info, things, sizeless = {}, {}, []
    for number, path in enumerate(files, start=1):
        model, category = load_cad(path), path.parent.name
        write_new(out / "models" / f"obj_{number:06d}.ply", _ply(model))
        info[str(number)] = _info(model) | {"category": category, "cad_id": path.stem}
        things[f"{category}/{path.stem}"] = _Thing(number, _mm(model))
        sizeless += [f"{category}/{path.stem}"] * (model.diagonal_m is None)
    write_json(out / "models" / "models_info.json", info)
    if sizeless:
        _log.warning(
            f"{len(sizeless)} of {len(files)} models have no size in metres, such as {sizeless[0]}: 1,000 mm of the "
            "export are their box diagonals; state cad.unit in the manifest, or unit in a side file, for true ones"
        )
    return things


def _camera(shot: Shot, mm: float) -> tuple[dict[str, Any], NDArray[np.uint16]]:
    """Return a sample's entry of scene_camera.json, and its depth picture, in the smallest steps that 16 bits allow.

    mm: millimetres of a box diagonal.
    """
    depth_mm = shot.depth() * mm
    scale = _STEP * mm
    while depth_mm.max() > scale * _MOST:
        scale *= 2
    camera = camera_of(shot.labels)
    return {"cam_K": camera.K.ravel().tolist(), "depth_scale": scale}, np.rint(depth_mm / scale).astype(np.uint16)


def _truth(shot: Shot, thing: _Thing) -> dict[str, Any]:
    """Return a sample's entry of scene_gt.json. RunError for a stretched model: BOP's are rigid."""
    if any(factor != 1 for factor in shot.labels["stretch_xyz"]):
        raise RunError(
            f"{shot.key}: its model is stretched, and BOP's models are rigid: make the run without cad.stretch"
        )
    pose = shot.pose
    return {
        "cam_R_m2c": pose[:3, :3].ravel().tolist(),
        "cam_t_m2c": (pose[:3, 3] * thing.mm).tolist(),
        "obj_id": thing.number,
    }


def _whole(shot: Shot, cad: Path) -> NDArray[np.bool_]:
    """Return the object's silhouette within the frame, with the hidden parts."""
    if "amodal.png" in shot.members:
        return decode_image(shot.members["amodal.png"]) > 0
    if shot.labels["occluded_share"] == 0:
        return shot.mask
    model = load_cad(cad / shot.labels["category"] / f"{shot.labels['cad_id']}.npz")
    return silhouette(model.vertices, model.faces, shot.pose, camera_of(shot.labels))


def _box(x0: float, y0: float, x1: float, y1: float) -> list[int]:
    return [round(x0), round(y0), round(x1 - 1 - x0), round(y1 - 1 - y0)]


def _gt_info(shot: Shot) -> dict[str, Any]:
    seen, share = int(np.count_nonzero(shot.mask)), shot.labels["visible_share"]
    return {
        "bbox_obj": _box(*shot.labels["amodal_bbox_xyxy"]),
        "bbox_visib": _box(*mask_box(shot.mask)),
        "px_count_all": round(seen / share),
        "px_count_valid": seen,
        "px_count_visib": seen,
        "visib_fract": share,
        "key": shot.key,
    }


def _encode16(pixels: NDArray[np.uint16]) -> bytes:
    written, content = cv2.imencode(".png", pixels)
    assert written
    return content.tobytes()


def _write_scene(
    source: ExportInput, shard: Path, folder: Path, things: dict[str, _Thing], on_sample: Callable[[], None]
) -> list[int]:
    """Write a shard as a scene; return the objects of its images in order."""
    cameras, truths, infos, objects = {}, {}, {}, []
    for image, shot in enumerate(shots([shard])):
        name, labels = f"{image:06d}", shot.labels
        thing = things[f"{labels['category']}/{labels['cad_id']}"]
        cameras[str(image)], depth = _camera(shot, thing.mm)
        truths[str(image)], infos[str(image)] = [_truth(shot, thing)], [_gt_info(shot)]
        objects.append(thing.number)
        write_new(folder / "rgb" / f"{name}.{shot.picture}", shot.members[shot.picture])
        write_new(folder / "depth" / f"{name}.png", _encode16(depth))
        write_new(folder / "mask" / f"{name}_000000.png", encode_png(mask_bytes(_whole(shot, source.cad))))
        write_new(folder / "mask_visib" / f"{name}_000000.png", encode_png(mask_bytes(shot.mask)))
        on_sample()
    for name, content in (("scene_camera", cameras), ("scene_gt", truths), ("scene_gt_info", infos)):
        write_bytes(folder / f"{name}.json", json.dumps(content, allow_nan=False).encode())
    return objects


def _write_camera(shot: Shot, things: dict[str, _Thing], out: Path) -> None:
    """Write camera.json, the parameters of the first sample: every image has its own in scene_camera.json."""
    thing = things[f"{shot.labels['category']}/{shot.labels['cad_id']}"]
    camera = camera_of(shot.labels)
    (cx, cy), (height, width) = camera.principal_px, camera.image_hw
    fx = fy = camera.focal_px
    scale = {"depth_scale": _STEP * thing.mm}
    write_json(out / "camera.json", {"cx": cx, "cy": cy, "fx": fx, "fy": fy, "height": height, "width": width} | scale)


def write(source: ExportInput, out: Path, on_sample: Callable[[], None]) -> None:
    """Write a run or dataset as BOP."""
    things = _write_models(source.cad, out)
    for split, shards in source.splits.items():
        targets = []
        for scene, shard in enumerate(shards):
            objects = _write_scene(source, shard, out / split / f"{scene:06d}", things, on_sample)
            targets += [
                {"scene_id": scene, "im_id": image, "obj_id": number, "inst_count": 1}
                for image, number in enumerate(objects)
            ]
        if split == "test":
            write_json(out / "test_targets_bop19.json", targets)
    first = next(shard for shards in source.splits.values() for shard in shards)
    _write_camera(next(shots([first])), things, out)
