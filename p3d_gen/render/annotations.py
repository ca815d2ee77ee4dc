"""The members and labels of one rendered sample; the documentation of the format explains every key and unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p3d_gen.blender.passes import Passes
from p3d_gen.blender.protocol import RenderAnswer
from p3d_gen.core.codecs import encode_nocs, encode_normals, encode_npz, encode_png, mask_bytes
from p3d_gen.core.cuboid import Cuboid, facing
from p3d_gen.core.geometry import box_corners, project, transform
from p3d_gen.core.silhouette import Amodal, amodal, in_frame, mask_box, mask_iou, unobstructed
from p3d_gen.core.types import Array, Camera, RenderSpec
from p3d_gen.run.cad_model import CadModel, stretched
from p3d_gen.run.shards import Members

# Depth, in box diagonals, at which a keypoint under the surface still counts as visible: hubs of wheels and corners of
# thin parts do not lie on the triangles.
_KEYPOINT_TOLERANCE = 0.03
OUTSIDE, HIDDEN, VISIBLE = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One render: the sample, its model, the stretched vertices (V, 3), the passes, and the scene's pose and camera."""

    sample: RenderSpec
    model: CadModel
    vertices: Array
    passes: Passes
    cam_T_obj: Array
    camera: Camera

    @staticmethod
    def of(sample: RenderSpec, model: CadModel, passes: Passes, answer: RenderAnswer) -> Rendered:
        """Combine a sample's parts with the answer of the Blender process."""
        return Rendered(
            sample=sample,
            model=model,
            vertices=stretched(model, sample.stretch_xyz),
            passes=passes,
            cam_T_obj=np.array(answer.cam_T_obj),
            camera=answer.camera,
        )


def _keypoints(shot: Rendered) -> dict[str, Any]:
    """Return the keypoints in pixels, and the visibility of each: outside the frame, hidden, or visible."""
    names = sorted(shot.model.keypoints)
    points = np.array([shot.model.keypoints[name] for name in names]) * shot.sample.stretch_xyz
    in_camera = transform(shot.cam_T_obj, points)
    pixels = project(in_camera, shot.camera)
    within = in_frame(pixels, shot.camera.image_hw)
    seen = unobstructed(pixels, in_camera[:, 2], shot.passes.depth, _KEYPOINT_TOLERANCE)
    visibility = np.where(seen, VISIBLE, np.where(within, HIDDEN, OUTSIDE))
    return {
        "keypoint_names": names,
        "keypoints_xyz": points.tolist(),
        "keypoints_xy": pixels.tolist(),
        "keypoints_visibility": visibility.tolist(),
    }


def _cuboid_member(shot: Rendered, cuboid: Cuboid) -> bytes:
    """Encode the cuboid's vertices in pixels (R, 2) and a mask (R,) of the visible ones.

    A vertex is visible if its side faces the camera, it is in the frame, and no occluder is in front of it.
    """
    in_camera = transform(shot.cam_T_obj, cuboid.vertices)
    pixels = project(in_camera, shot.camera)
    before = np.where(shot.passes.occluders, shot.passes.depth, np.float32(0))
    centre = -shot.cam_T_obj[:3, :3].T @ shot.cam_T_obj[:3, 3]
    visible = facing(cuboid, centre) & unobstructed(pixels, in_camera[:, 2], before, 0.0)
    return encode_npz(pixels=pixels.astype(np.float32), visible=visible)


def _shares(shot: Rendered, whole: Amodal) -> dict[str, float]:
    """Return the shares of the silhouette that are visible, occluded, and cut off by the frame."""
    within = np.count_nonzero(whole.mask)
    hidden = np.count_nonzero(whole.mask & shot.passes.occluders)
    return {
        "visible_share": (within - hidden) / whole.area,
        "occluded_share": hidden / max(within, 1),
        "truncated_share": 1.0 - within / whole.area,
    }


def _later(shot: Rendered) -> dict[str, Any]:
    """Return the labels that version 0.1.0 did not have.

    diagonal_m is that of the stretched box, and 0.0 if it is not known: readers can give no type to a null.
    """
    diagonal_m = (shot.model.diagonal_m or 0.0) * float(np.linalg.norm(np.ptp(shot.vertices, axis=0)))
    return {"symmetries": shot.model.symmetry.rows(), "diagonal_m": diagonal_m}


def json_labels(shot: Rendered, whole: Amodal, members: Sequence[str], version: int) -> dict[str, Any]:
    """Return the labels of a sample whose whole silhouette is `whole`.

    members: names of `manifest.Output.members`. version: see `RunFolder.labels_version`.
    """
    sample, model, camera = shot.sample, shot.model, shot.camera
    view, light, occluder = sample.viewpoint, sample.environment, sample.occluder
    corners = box_corners(np.ptp(shot.vertices, axis=0))
    labels = {
        "key": sample.key,
        "category": sample.category,
        "index": sample.index,
        "cad_id": sample.cad_id,
        "azimuth_rad": view.azimuth_rad,
        "elevation_rad": view.elevation_rad,
        "theta_rad": view.theta_rad,
        "distance": view.distance,
        "cam_T_obj": shot.cam_T_obj.tolist(),
        "focal_px": camera.focal_px,
        "principal_px": list(camera.principal_px),
        "image_hw": list(camera.image_hw),
        "stretch_xyz": list(sample.stretch_xyz),
        "object_extent_xyz": np.ptp(shot.vertices, axis=0).tolist(),
        "symmetry_order": model.symmetry_order,
        **(_later(shot) if version > 1 else {}),
        "bbox_xyxy": list(mask_box(shot.passes.mask)),
        "amodal_bbox_xyxy": list(whole.box),
        "bbox3d_xy": project(transform(shot.cam_T_obj, corners), camera).tolist(),
        **_shares(shot, whole),
        "mask_iou": mask_iou(whole.mask & ~shot.passes.occluders, shot.passes.mask),
        "texture_id": sample.texture_id,
        "hdri_id": light.hdri_id if light else "",
        "occluder": occluder.address if occluder else "",
        "background_id": sample.background_id,
        "colour": sample.colour,
    }
    if "parts" in members:
        labels["part_names"] = list(model.part_names)
    if "keypoints" in members:
        labels |= _keypoints(shot)
    return labels


def annotate(
    shot: Rendered, wanted: Sequence[str], cuboid: Cuboid | None, occluded: bool, version: int
) -> tuple[Members, dict[str, Any]]:
    """Return the members of a sample except its JSON, and the labels for that.

    wanted: names of `manifest.Output.members`.
    cuboid: the category's, if its member is wanted.
    occluded: True if the run has occluders. Their masks are then always kept, because the composite needs them.
    version: of the labels, see `RunFolder.labels_version`.
    """
    passes = shot.passes
    whole = amodal(shot.vertices, shot.model.faces, shot.cam_T_obj, shot.camera)
    members: Members = {"render.png": encode_png(passes.rgba), "mask.png": encode_png(mask_bytes(passes.mask))}
    if occluded:
        members["occluders.png"] = encode_png(mask_bytes(passes.occluders))
    if "amodal" in wanted:
        members["amodal.png"] = encode_png(mask_bytes(whole.mask))
    if "depth" in wanted:
        members["depth.npz"] = encode_npz(depth=np.where(passes.mask, passes.depth, np.float32(0)))
    if passes.normals is not None:
        in_camera = passes.normals @ shot.cam_T_obj[:3, :3].T.astype(np.float32)
        members["normals.npz"] = encode_normals(in_camera, passes.mask)
    if passes.positions is not None:
        stretch = np.asarray(shot.sample.stretch_xyz, dtype=np.float32)
        members["nocs.npz"] = encode_nocs(passes.positions / stretch + np.float32(0.5), passes.mask)
    if passes.parts is not None:
        members["parts.png"] = encode_png(np.where(passes.mask, passes.parts, 0).astype(np.uint8))
    if cuboid is not None:
        members["cuboid.npz"] = _cuboid_member(shot, cuboid)
    return members, json_labels(shot, whole, wanted, version)
