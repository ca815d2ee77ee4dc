"""Every label once more, from the manifest and from a sample's own pictures, to compare with what is stored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from p3d_gen.blender.passes import OBJECT_INDEX, OCCLUDER_INDEX, Passes
from p3d_gen.core.geometry import project, transform
from p3d_gen.core.silhouette import Amodal, amodal, camera_of
from p3d_gen.core.types import Array, Camera, RenderSpec, Viewpoint
from p3d_gen.render.annotations import Rendered, json_labels
from p3d_gen.run.cad_model import stretched
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.sampling import spec
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.prompts import style
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.stylize.survival import expected_edges, survival
from p3d_gen.verify.findings import shown
from p3d_gen.verify.members import Decoded

# Blender holds the camera in single precision.
_CAMERA_TOLERANCE = 1e-4
_POSE_TOLERANCE = 1e-4
# How many pictures beside the frame an object may reach.
_FARTHEST_PICTURES = 20
# Of numbers that are computed again, perhaps on another processor.
_TOLERANCE = 1e-6


def _same(stored: Any, made: Any) -> bool:
    if isinstance(stored, list) and isinstance(made, list):
        return len(stored) == len(made) and all(map(_same, stored, made))
    if isinstance(stored, float) and isinstance(made, float):
        return math.isclose(stored, made, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return type(stored) is type(made) and bool(stored == made)


def changed_labels(stored: dict[str, Any], made: dict[str, Any]) -> Iterator[str]:
    """Yield the labels that differ from those made again, except in the last digits of numbers."""
    for name, value in made.items():
        if name not in stored:
            yield f"the label {name} is missing"
        elif not _same(stored[name], value):
            yield f"{name} is {shown(stored[name])}, {shown(value)} is expected"


def check_camera(sample: RenderSpec, labels: dict[str, Any]) -> None:
    """Raise ValueError if the camera is not the one that was drawn.

    A frame that cuts the object has its principal point elsewhere, by no more than a few pictures.
    """
    there, drawn = camera_of(labels), sample.camera
    if tuple(there.image_hw) != drawn.image_hw:
        raise ValueError(f"image_hw is {shown(labels['image_hw'])}, {list(drawn.image_hw)} is expected")
    if not math.isclose(there.focal_px, drawn.focal_px, rel_tol=_CAMERA_TOLERANCE):
        raise ValueError(f"focal_px is {shown(there.focal_px)}, {drawn.focal_px} is expected")
    off = np.abs(np.subtract(there.principal_px, drawn.principal_px)).max()
    largest = 4 * max(drawn.image_hw) if sample.truncation else _CAMERA_TOLERANCE * max(drawn.image_hw)
    if not off <= largest:
        raise ValueError(f"principal_px is {shown(labels['principal_px'])}, {list(drawn.principal_px)} is expected")


def changed_pose(drawn: Array, labels: dict[str, Any]) -> Iterator[str]:
    """Yield the faults of a pose that is not the one (4, 4) which was drawn. ValueError if it is not a pose."""
    pose = np.array(labels["cam_T_obj"], dtype=np.float64)
    if pose.shape != (4, 4):
        raise ValueError(f"cam_T_obj is {shown(labels['cam_T_obj'])}, no 4x4 matrix")
    if not np.allclose(pose, drawn, atol=_POSE_TOLERANCE):
        yield "cam_T_obj is not the pose that was drawn"


def _check_in_view(vertices: Array, pose: Array, camera: Camera) -> None:
    """Raise ValueError if a pose puts the object so far out of the picture that nothing can be drawn of it."""
    pixels = project(transform(pose, vertices), camera)
    if not (np.abs(pixels) < _FARTHEST_PICTURES * max(camera.image_hw)).all():
        raise ValueError("cam_T_obj puts the object out of the picture")


def drawn_sample(run: RunFolder, category: str, index: int, labels: dict[str, Any]) -> RenderSpec:
    """Return the sample as the manifest draws it; with its labels' viewpoint if the list of viewpoints is not there.

    It has its labels' background too: packing draws that, from the backgrounds which there are then.
    """
    background = str(labels["background_id"])
    if "viewpoint" not in run.inventory.lacking or not run.manifest.viewpoint.source:
        return replace(spec(run.manifest, run.inventory, category, index), background_id=background)
    names = ("azimuth_rad", "elevation_rad", "theta_rad", "distance")
    viewpoint = Viewpoint(**{name: float(labels[name]) for name in names})
    known = replace(run.inventory, viewpoints={category: (viewpoint,)})
    return replace(spec(run.manifest, known, category, index), viewpoint=viewpoint, background_id=background)


def render_labels(
    run: RunFolder, sample: RenderSpec, labels: dict[str, Any], decoded: Decoded
) -> tuple[dict[str, Any], Amodal]:
    """Return the labels of a rendered sample and its whole silhouette.

    They follow from the drawn sample, the stored pose and camera, and its decoded members. Labels that cannot be known
    from these are left out: the pose and camera themselves, and keypoints that an occluder may hide.
    """
    model = run.load_model(sample.category, sample.cad_id)
    mask, depth = decoded["mask.png"] > 0, decoded.get("depth.npz")
    occluders = decoded["occluders.png"] > 0 if "occluders.png" in decoded else np.zeros_like(mask)
    passes = Passes(
        rgba=decoded["render.png"],
        index=np.where(occluders, OCCLUDER_INDEX, np.where(mask, OBJECT_INDEX, 0)).astype(np.uint8),
        depth=np.zeros(mask.shape, np.float32) if depth is None else depth,
        normals=None,
        positions=None,
        parts=None,
    )
    vertices, camera = stretched(model, sample.stretch_xyz), camera_of(labels)
    pose = np.array(labels["cam_T_obj"])
    _check_in_view(vertices, pose, camera)
    whole = amodal(vertices, model.faces, pose, camera)
    shot = Rendered(sample=sample, model=model, vertices=vertices, passes=passes, cam_T_obj=pose, camera=camera)
    made = json_labels(shot, whole, run.manifest.output.members, run.labels_version)
    if depth is None or occluders.any():
        made.pop("keypoints_visibility", None)
    return made, whole


def stylize_labels(
    run: RunFolder, stylization: Stylization, render: dict[str, Any], stored: dict[str, Any], decoded: Decoded
) -> dict[str, Any]:
    """Return the labels of a stylized sample that follow from its render's labels and the pictures of both.

    These are the request of the stored attempt, without the prompt if the prompt file is not there, and the label
    survival.
    """
    settings = stylization.settings
    attempt = stored["attempts"] - 1
    if not 0 <= attempt <= settings.retries:
        raise ValueError(f"attempts is {shown(stored['attempts'])}, up to {settings.retries + 1} are made")
    templates = ("",) if stylization.lacking else stylization.templates
    definition = run.inventory.definition(render["category"])
    asked = style(run.manifest, settings, templates, definition, render["index"], attempt)
    rgba = decoded["render.png"]
    hidden = decoded["occluders.png"] > 0 if "occluders.png" in decoded else None
    model = run.load_model(render["category"], render["cad_id"])
    vertices = stretched(model, render["stretch_xyz"])
    expected = expected_edges(vertices, model.faces, np.array(render["cam_T_obj"]), camera_of(render), hidden)
    picture = decoded["stylized.png"] if settings.stylizer != "none" else on_grey(rgba[..., :3], rgba[..., 3])
    survived = survival(picture, expected)
    return {
        "colour": asked.colour,
        **({} if stylization.lacking else {"prompt": asked.prompt}),
        "negative_prompt": settings.negative_prompt,
        "stylize_seed": asked.seed,
        "survival": survived.score,
        "edge_precision": survived.edge_precision,
        "edge_recall": survived.edge_recall,
        "silhouette": survived.silhouette,
        "stylizer": settings.stylizer,
    }
