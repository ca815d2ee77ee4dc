"""Categories of one's own, made by code: mugs as GLB, a guitar as OBJ, a shoe as PLY, each with keypoints beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from tests.helpers.assets import save_picture

Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # z up, front -y -> y up, front z
MANIFEST = """
categories = ["mug", "guitar", "shoe"]
samples_per_category = 2
shard_size = 2
cad.source = "cad"
category.guitar = { words = ["electric guitar"], pose = "any", keypoints = ["head", "bridge"] }
camera = { image_hw = [96, 96], fill = [0.7, 0.8] }
render = { samples = 1, denoise = false }
background.source = "backgrounds"
output.members = ["mask", "depth", "nocs", "keypoints", "cuboid"]
[stylize]
stylizer = "controlnet"
base = "embedded"
control = [{ weights = "embedded" }]
prompt = "a {colour} {category}"
resolution = 64
steps = 1
"""


def mug(handle: bool) -> trimesh.Trimesh:
    """A beaker, z up; its handle, at +x, is hidden from half of the views."""
    parts = [trimesh.creation.annulus(r_min=0.36, r_max=0.4, height=1.0, sections=24)]
    if handle:
        ring = trimesh.creation.torus(0.25, 0.05, major_sections=16, minor_sections=8)
        ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
        ring.apply_translation((0.55, 0, 0))
        parts.append(ring)
    return trimesh.util.concatenate(parts)


def guitar() -> trimesh.Trimesh:
    """Two round halves of a body with a long neck, which leans to +x so that left and right differ."""
    body = [trimesh.creation.cylinder(radius, 0.15, sections=20) for radius in (0.4, 0.3)]
    body[1].apply_translation((0, 0.5, 0))
    neck = trimesh.creation.box((0.1, 1.2, 0.08))
    neck.apply_translation((0.03, 1.2, 0.05))
    whole = trimesh.util.concatenate([*body, neck])
    whole.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    return whole


def shoe() -> trimesh.Trimesh:
    """A sole with a heel and a toe cap, its toe at -y."""
    sole = trimesh.creation.box((0.35, 1.0, 0.1))
    heel = trimesh.creation.box((0.3, 0.35, 0.4))
    heel.apply_translation((0, 0.3, 0.2))
    toe = trimesh.creation.icosphere(subdivisions=1, radius=0.17)
    toe.apply_translation((0.02, -0.35, 0.1))
    return trimesh.util.concatenate([sole, heel, toe])


def metres(cad_id: str) -> float | None:
    """The diagonal of a model as its file and side file say it: GLB counts in metres, the guitar is stated in feet."""
    made = {"cup": mug(True), "beaker": mug(False), "strat": guitar()}
    if cad_id not in made:
        return None
    return float(np.linalg.norm(made[cad_id].extents)) * (0.3048 if cad_id == "strat" else 1.0)


def write_project(root: Path) -> Path:
    """Write models, backgrounds and manifest; return the manifest. Nothing defines the shoe."""
    for category in ("mug", "guitar", "shoe"):
        (root / "cad" / category).mkdir(parents=True)
    mugs = root / "cad" / "mug"
    (mugs / "category.toml").write_text('words = ["mug", "coffee mug"]\nkeypoints = ["rim", "handle"]\n')
    for name, handle in (("cup", True), ("beaker", False)):
        mug(handle).copy().apply_transform(Y_UP).export(mugs / f"{name}.glb")
    (mugs / "cup.toml").write_text("keypoints = { handle = [0.8, 0.0, 0.0], rim = [0.0, 0.5, 0.4] }\n")
    (mugs / "beaker.toml").write_text('symmetry = ["z:0", "x:2"]\nkeypoints.rim = [0.0, 0.5, 0.4]\n')
    guitar().copy().apply_transform(Y_UP).export(root / "cad" / "guitar" / "strat.obj")
    (root / "cad" / "guitar" / "strat.toml").write_text(
        'unit = "ft"\nkeypoints = { head = [0, 1.8, 0], bridge = [0, 0, 0.08] }\n'
    )
    shoe().export(root / "cad" / "shoe" / "left.ply")
    (root / "cad" / "shoe" / "left.toml").write_text("keypoints.toe_tip = [0.02, -0.5, 0.1]\n")
    for number in range(3):
        save_picture(root / "backgrounds" / f"b{number}.jpg", number)
    manifest = root / "manifest.toml"
    manifest.write_text(MANIFEST)
    return manifest
