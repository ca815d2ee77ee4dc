"""Make twenty mugs, as a scanner and several programs leave them: GLB, OBJ and .blend files in FOLDER/mug.

python examples/mugs.py FOLDER

They are in metres, and their front is where one sees the handle on the right. mug_06.obj lies on its side: it was
written with z up, while an OBJ is taken as y up.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np
import trimesh
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

COUNT, LYING = 20, 6
Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # from z up, front -y to y up, front z


def sheet(points: np.ndarray) -> trimesh.Trimesh:
    """Return the surface through a grid of points (M, N, 3), with texture coordinates along both of its sides."""
    rows, columns = points.shape[:2]
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (each.ravel() for each in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]))
    uv = np.stack(np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows)), axis=-1).reshape(-1, 2)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    mesh = trimesh.Trimesh(points.reshape(-1, 3), faces, process=False, visual=TextureVisuals(uv=uv))
    mesh.update_faces(mesh.nondegenerate_faces())  # those in the middle of the foot
    mesh.remove_unreferenced_vertices()
    return mesh


def body(rng: np.random.Generator, radius: float, height: float) -> trimesh.Trimesh:
    """Turn a profile about z: from the middle of the foot up the outside, over the rim, and down the inside."""
    z = np.linspace(0, 1, 16)
    wide = radius * (1 + rng.uniform(-0.18, 0.12) * (1 - z) + rng.uniform(0, 0.12) * np.sin(np.pi * z))
    outside = np.stack([wide, z * height], axis=1)
    inside = np.stack([wide - 0.004, 0.006 + z * (height - 0.006)], axis=1)[::-1]
    profile = np.concatenate([[[0, 0]], outside, inside, [[0, 0.006]]])
    turn = np.linspace(0, 2 * np.pi, 49)
    across, up = profile[:, None, 0], np.broadcast_to(profile[:, None, 1], (len(profile), len(turn)))
    return sheet(np.stack([across * np.cos(turn), across * np.sin(turn), up], axis=-1))


def handle(rng: np.random.Generator, radius: float, height: float) -> trimesh.Trimesh:
    """Bend a tube into half an ellipse, or an ear with corners, at +x."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 24)
    power = rng.choice([1.0, 0.6])
    reach, half, middle = (
        rng.uniform(0.5, 0.8) * radius,
        rng.uniform(0.24, 0.36) * height,
        rng.uniform(0.48, 0.56) * height,
    )
    x = 0.93 * radius + reach * np.abs(np.cos(turn)) ** power
    z = middle + half * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    along = np.stack([np.gradient(x), np.gradient(z)], axis=1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    around = np.linspace(0, 2 * np.pi, 13)
    thick, flat = rng.uniform(0.004, 0.006), rng.uniform(1, 1.6)
    off = thick * np.cos(around)
    points = [x[:, None] - along[:, 1:] * off, np.broadcast_to(flat * thick * np.sin(around), (24, 13))]
    return sheet(np.stack([*points, z[:, None] + along[:, :1] * off], axis=-1))


def mug(number: int) -> tuple[trimesh.Trimesh, np.random.Generator]:
    """Return a mug, z up and front -y, and the generator that its looks are drawn with."""
    rng = np.random.default_rng([number, 1])
    radius, height = rng.uniform(0.034, 0.046), rng.uniform(0.075, 0.12)
    return trimesh.util.concatenate([body(rng, radius, height), handle(rng, radius, height)]), rng


def glaze(rng: np.random.Generator) -> np.ndarray:
    """Draw a colour (3,), from 0 to 1."""
    return rng.uniform(0.1, 0.95, 3)


def stripes(rng: np.random.Generator) -> Image.Image:
    """Paint a picture of bands in two colours."""
    bands = np.linspace(0, rng.integers(2, 6), 256) % 1 < rng.uniform(0.3, 0.7)
    rows = np.where(bands[:, None], glaze(rng), glaze(rng))
    return Image.fromarray(np.repeat((255 * rows).astype(np.uint8)[:, None], 256, axis=1))


def write_glb(number: int, folder: Path) -> None:
    """Write a GLB, y up, with bands or one colour as its material."""
    mesh, rng = mug(number)
    looks = {"baseColorTexture": stripes(rng)} if number % 2 else {"baseColorFactor": [*glaze(rng), 1.0]}
    mesh.visual.material = PBRMaterial(name="glaze", roughnessFactor=0.3, metallicFactor=0.0, **looks)
    mesh.vertices = mesh.vertices @ Y_UP.T
    mesh.export(folder / f"mug_{number:02d}.glb")


def write_obj(number: int, folder: Path) -> None:
    """Write an OBJ with its MTL and picture, y up but for the one that lies."""
    mesh, rng = mug(number)
    mesh.visual.material = SimpleMaterial(image=stripes(rng), name=f"mug_{number:02d}")
    if number != LYING:
        mesh.vertices = mesh.vertices @ Y_UP.T
    mesh.export(folder / f"mug_{number:02d}.obj", mtl_name=f"mug_{number:02d}.mtl")


def write_blend(number: int, folder: Path) -> None:
    """Write a .blend, z up: of glass, or in the colours of its vertices."""
    mesh, rng = mug(number)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    data = bpy.data.meshes.new("mug")
    data.from_pydata(mesh.vertices.tolist(), [], mesh.faces.tolist())
    material = bpy.data.materials.new("glaze")
    material.use_nodes = True
    surface = material.node_tree.nodes["Principled BSDF"]
    if number % 4 == 0:
        surface.inputs["Transmission Weight"].default_value = 1.0
        surface.inputs["Roughness"].default_value = 0.05
    else:
        height = mesh.vertices[:, 2:] / mesh.vertices[:, 2].max()
        colours = height * glaze(rng) + (1 - height) * glaze(rng)
        layer = data.color_attributes.new("colour", "FLOAT_COLOR", "POINT")
        layer.data.foreach_set("color", np.column_stack([colours, np.ones(len(colours))]).ravel())
        node = material.node_tree.nodes.new("ShaderNodeVertexColor")
        node.layer_name = "colour"
        material.node_tree.links.new(node.outputs["Color"], surface.inputs["Base Color"])
    data.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("mug", data))
    bpy.ops.wm.save_as_mainfile(filepath=str((folder / f"mug_{number:02d}.blend").resolve()), compress=True)


WRITERS: tuple[Callable[[int, Path], None], ...] = (write_obj, write_glb, write_blend)


def main(folder: Path) -> None:
    """Write all mugs to FOLDER/mug."""
    (folder / "mug").mkdir(parents=True, exist_ok=True)
    for number in range(1, COUNT + 1):
        WRITERS[number % len(WRITERS)](number, folder / "mug")
    print(f"{COUNT} mugs in {folder / 'mug'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
