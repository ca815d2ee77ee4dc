"""Twenty mugs as a scanner and two CAD programs may leave them: OBJ, GLB and .blend files in one folder, in metres.

    python examples/mugs.py my_mugs/mug

The handle is at the right of whoever sees the front. All mugs stand, but for mug_06: its OBJ file has z up, and readers
of OBJ expect y up. The extra `render` must be installed, because only Blender writes .blend files.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np
import trimesh
from PIL import Image

COUNT, LYING, GLASS = 20, 6, 8
SECTIONS = 64
Z_UP, Y_UP = np.eye(3), np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # of a file; the front is -y, or z
COLOURS = np.array(
    [
        (0.75, 0.12, 0.10),
        (0.10, 0.25, 0.60),
        (0.90, 0.88, 0.82),
        (0.12, 0.45, 0.25),
        (0.85, 0.55, 0.10),
        (0.15, 0.15, 0.17),
        (0.35, 0.65, 0.70),
        (0.60, 0.35, 0.50),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a mug: vertices (V, 3) in metres, z up, front -y; uv (V, 2); triangles (F, 3); colour (R, G, B)."""

    name: str
    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    colour: np.ndarray


def sheet(name, grid, colour):
    """Return the part whose vertices are a grid (rows, columns, 3)."""
    rows, columns = grid.shape[:2]
    vertices = grid.reshape(-1, 3)
    uv = np.stack(np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows)), axis=-1).reshape(-1, 2)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    across, up = corner + 1, corner + columns
    faces = np.hstack([[corner, across, up + 1], [corner, up + 1, up]]).T
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    used, faces = np.unique(faces[area > 1e-12], return_inverse=True)
    return Part(name=name, vertices=vertices[used], uv=uv[used], faces=faces.reshape(-1, 3), colour=colour)


def turned(profile):
    """Return the grid of a profile (rows, 2) of radii and heights that is turned about z, from +x to +x."""
    angle = np.linspace(0, 2 * np.pi, SECTIONS + 1)
    radius, z = profile[:, :1], np.repeat(profile[:, 1:], SECTIONS + 1, axis=1)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)


def swept(path, width, thickness):
    """Return the grid of an elliptic tube along a path (rows, 2) of x and z."""
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    angle = np.linspace(0, 2 * np.pi, 17)
    out, y = thickness / 2 * np.cos(angle), np.tile(width / 2 * np.sin(angle), (len(path), 1))
    return np.stack([path[:, :1] + along[:, 1:] * out, y, path[:, 1:] - along[:, :1] * out], axis=-1)


def mug(number):
    """Return the parts of a mug: outside, inside and handle."""
    rng = np.random.default_rng([number, 7])
    height, wall = rng.uniform(0.08, 0.115), rng.uniform(0.003, 0.005)
    top, taper, bulge = rng.uniform(0.036, 0.046), rng.uniform(0.75, 1.05), rng.uniform(-0.002, 0.005)
    colour, inner, grip = COLOURS[rng.choice(len(COLOURS), 3, replace=False)]
    if rng.random() < 0.6:
        grip = colour

    share = np.linspace(0, 1, 24)
    radius = top * (taper + (1 - taper) * share) + bulge * np.sin(np.pi * share)
    side = np.stack([radius, height * share], axis=1)
    foot, rim = [(0, 0), (radius[0] * 0.9, 0)], [(radius[-1] - wall / 2, height + wall / 3)]
    outside = np.vstack([foot, side + np.array([0, 1e-3]), rim])
    hollow = np.vstack([rim, np.maximum(side[::-1] - (wall, 0), (0, wall)), [(0, wall)]])

    reach, squareness = rng.uniform(0.024, 0.036), rng.uniform(0.55, 1.0)
    ends = height * np.array([rng.uniform(0.12, 0.25), rng.uniform(0.78, 0.9)])
    angle = np.linspace(-np.pi / 2, np.pi / 2, 40)
    level = ends.mean() + np.diff(ends) / 2 * np.sign(angle) * np.abs(np.sin(angle)) ** squareness
    base = np.interp(level, side[:, 1], radius) - wall / 2
    path = np.stack([base + reach * np.cos(angle) ** squareness, level], axis=1)
    handle = swept(path, rng.uniform(0.009, 0.016), rng.uniform(0.006, 0.009))
    return [
        sheet("outside", turned(outside), colour),
        sheet("inside", turned(hollow), inner),
        sheet("handle", handle, grip),
    ]


def pattern(number, colour):
    """Return a picture (256, 256) of stripes or dots in a colour on white."""
    y, x = np.mgrid[:256, :256] / 256
    stripes, dots = (6 * (x + y)) % 1 < 0.4, np.sin(2 * np.pi * 8 * x) * np.sin(2 * np.pi * 4 * y) > 0.4
    painted = np.where((stripes if number % 4 == 1 else dots)[..., None], colour, (0.93, 0.92, 0.9))
    return Image.fromarray((255 * painted).astype(np.uint8))


def write_obj(path, parts, axes, picture=None):
    """Write OBJ and MTL, which know colours and pictures; a picture is printed on the outside."""
    lines, materials, first = [f"mtllib {path.stem}.mtl"], [], 1
    for part in parts:
        lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in part.vertices @ axes.T]
        lines += [f"vt {u:.5f} {v:.5f}" for u, v in part.uv]
        lines += [f"usemtl {part.name}"]
        lines += ["f " + " ".join(f"{n}/{n}" for n in face) for face in part.faces + first]
        materials += [f"newmtl {part.name}", "Kd {:.3f} {:.3f} {:.3f}".format(*part.colour), "Ks 0.5 0.5 0.5", "Ns 200"]
        if picture and part.name == "outside":
            materials += [f"map_Kd {path.stem}.png"]
            picture.save(path.with_suffix(".png"))
        first += len(part.vertices)
    path.write_text("\n".join([*lines, ""]))
    path.with_suffix(".mtl").write_text("\n".join([*materials, ""]))


def painted(part):
    """Return a material of glTF in the colour of a part."""
    material = trimesh.visual.material.PBRMaterial(
        name=part.name, baseColorFactor=[*part.colour, 1.0], metallicFactor=0.0, roughnessFactor=0.3
    )
    return trimesh.visual.TextureVisuals(uv=part.uv, material=material)


def scanned(part):
    """Return colours of a part's vertices, as scanners give them: bands around the mug."""
    bands = 0.35 * np.sin(90 * part.vertices[:, 2:]) * np.array([0.6, 0.2, -0.5])
    colours = np.hstack([np.clip(part.colour + bands, 0.03, 1), np.ones((len(bands), 1))])
    return trimesh.visual.ColorVisuals(vertex_colors=(255 * colours).astype(np.uint8))


def write_glb(path, parts, look):
    """Write a GLB file; `look` gives the material or the colours of each part."""
    scene = trimesh.Scene()
    for part in parts:
        mesh = trimesh.Trimesh(part.vertices @ Y_UP.T, part.faces, process=False, visual=look(part))
        scene.add_geometry(mesh, geom_name=part.name)
    path.write_bytes(scene.export(file_type="glb"))


def glass(material, part):
    """Make a material of Blender glass that is tinted a little in the colour of a part."""
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value = (*(0.8 + 0.2 * part.colour), 1)
    inputs["Roughness"].default_value, inputs["Transmission Weight"].default_value = 0.05, 1


def glazed(material, part):
    """Paint a material of Blender in the colour of a part."""
    inputs = material.node_tree.nodes["Principled BSDF"].inputs
    inputs["Base Color"].default_value, inputs["Roughness"].default_value = (*part.colour, 1), 0.35


def speckled(material, part):
    """Paint a material of Blender in the colour of a part, with darker speckles that nodes compute."""
    glazed(material, part)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
    noise.inputs["Scale"].default_value = 150
    for end, position, share in zip(ramp.color_ramp.elements, (0.4, 0.46), (0.3, 1), strict=True):
        end.position, end.color = position, (*part.colour * share, 1)
    links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])


def write_blend(path, parts, look):
    """Write a .blend file, whose materials may be nodes; `look` makes them."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.save_version = 0  # else a second run leaves copies of the first one's files
    for part in parts:
        mesh = bpy.data.meshes.new(part.name)
        mesh.from_pydata(part.vertices.tolist(), [], part.faces.tolist())
        mesh.shade_smooth()
        mesh.materials.append(bpy.data.materials.new(look.__name__))
        mesh.materials[0].use_nodes = True
        look(mesh.materials[0], part)
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(part.name, mesh))
    bpy.ops.wm.save_as_mainfile(filepath=str(path.absolute()))


def write_mugs(folder):
    """Write all mugs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(COUNT):
        name, parts, is_odd = f"mug_{number:02d}", mug(number), number % 2 == 1
        if number % 3 == 0:
            axes = Z_UP if number == LYING else Y_UP
            write_obj(folder / f"{name}.obj", parts, axes, pattern(number, parts[0].colour) if is_odd else None)
        elif number % 3 == 1:
            write_glb(folder / f"{name}.glb", parts, scanned if is_odd else painted)
        else:
            look = speckled if is_odd else glass if number == GLASS else glazed
            write_blend(folder / f"{name}.blend", parts, look)
    print(f"{COUNT} mugs in {folder}")


if __name__ == "__main__":
    write_mugs(Path(sys.argv[1]))
