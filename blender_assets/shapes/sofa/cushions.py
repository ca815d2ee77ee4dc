"""Upholstery of the parametric sofas: cushions, pillows, quilted pads. Metres, the sitter looks to -y."""

import numpy as np

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    grid_faces,
    join,
    lathe,
    loft,
    moved,
    outward,
    part_index,
    rotation_about,
    rounded_box,
    triangles,
    tube,
    weld,
)


def rounded_outline(half_x: float, half_y: float, radius: float) -> Array:
    """Return the outline (36, 2) of a rectangle with rounded corners, its straight sides divided as well."""
    arc, side = np.linspace(0, np.pi / 2, 4), np.linspace(0, 1, 7)[1:-1]
    x, y = half_x - radius, half_y - radius
    points = []
    for sx, sy, turn in ((1, 1, 0), (-1, 1, 1), (-1, -1, 2), (1, -1, 3)):
        angle = arc + turn * np.pi / 2
        points.append(np.stack([sx * x + radius * np.cos(angle), sy * y + radius * np.sin(angle)], axis=1))
        following = np.array([-sy * x, sx * y]) + radius * np.array([np.cos(angle[-1]), np.sin(angle[-1])])
        points.append(points[-1][-1] + side[:, None] * (following - points[-1][-1]))
    return np.concatenate(points)


def boxed_cushion(size: tuple[float, float, float], puff: float) -> Solid:
    """Make a box cushion about the origin with piping along the edges of its two large faces, which bulge by `puff`."""
    w, d, h = np.array(size) / 2
    radius = 0.2 * min(size)
    outline = rounded_outline(w, d, 0.05)
    rings = [np.column_stack([outline * share, np.full(len(outline), h)]) for share in (0.35, 0.72)]
    for tilt in np.linspace(np.pi / 2, 0, 3):
        inner = outline * (1 - radius * (1 - np.cos(tilt)) / np.array([w, d]))
        rings.append(np.column_stack([inner, np.full(len(outline), h - radius * (1 - np.sin(tilt)))]))
    body = loft(np.array(rings + [ring * [1, 1, -1] for ring in rings[::-1]]), "fabric")
    x, y, z = body.vertices.T
    bulge = np.cos(np.pi / 2 * np.clip(x / w, -1, 1)) * np.cos(np.pi / 2 * np.clip(y / d, -1, 1))
    body = Solid(np.stack([x, y, z + np.sign(z) * puff * bulge], axis=1), body.faces, body.face_part)
    inward = radius * (1 - np.sqrt(0.5))
    edge = np.column_stack([outline * (1 - inward / np.array([w, d])), np.full(len(outline), h - inward)])
    welt = tube(edge, 0.0055, "fabric", 4, closed=True)
    return join([body, welt, moved(welt, (0, 0, 2 * inward - 2 * h))])


def standing(solid: Solid) -> Solid:
    """Turn a cushion on its edge: its upper face looks to -y."""
    return moved(solid, rotation=rotation_about("x", np.pi / 2))


def scatter_pillow(size: float, thick: float) -> Solid:
    """Make a square pillow with drawn-out corners, on its edge, facing -y."""
    side = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 11))[:-1]
    one = np.ones(len(side))
    square = np.concatenate([np.stack(xy, 1) for xy in ((side, -one), (one, side), (-side, one), (-one, -side))])
    shares = np.sin(np.linspace(0.15, np.pi / 2, 8))
    rings = []
    for share, face in [*((s, 1) for s in shares), *((s, -1) for s in shares[-2::-1])]:
        u, v = (square * share).T
        x, y = u * (1 - 0.09 * (1 - v**2)), v * (1 - 0.09 * (1 - u**2))
        height = face * thick * ((1 - u**2) * (1 - v**2)) ** 0.42
        rings.append(np.stack([x * size / 2, y * size / 2, height / 2], axis=1))
    return standing(loft(np.array(rings), "fabric"))


def tufted(width: float, height: float, thickness: float, puff: float, columns: int, tiers: int) -> Solid:
    """Make an upright pad about the origin, facing -y, quilted into diamonds that bulge by `puff`, `columns` by
    `tiers`."""
    nx, nz = 6 * columns, 6 * tiers
    a, b = np.meshgrid(np.linspace(-columns, columns, nx + 1), np.linspace(0, 2 * tiers, nz + 1), indexing="xy")
    seam = np.abs(np.sin(np.pi / 2 * (a + b)) * np.sin(np.pi / 2 * (a - b)))
    border = np.clip(np.minimum(columns - np.abs(a), tiers - np.abs(b - tiers)) / 0.7, 0, 1)
    rise = puff * np.where(seam < 1e-9, 0, seam) ** 0.4 * np.sqrt(border)
    x, z = a / columns * width / 2, (b / tiers - 1) * height / 2
    front = np.stack([x, -thickness / 2 - rise, z], axis=-1)
    points = np.pad(front, ((2, 2), (2, 2), (0, 0)), mode="edge")
    points[[0, 1, -2, -1], :, 1] = points[:, [0, 1, -2, -1], 1] = thickness / 2
    points[[0, -1]] = points[:, [0, -1]] = (0, thickness / 2, 0)
    flat = points.reshape(-1, 3)
    quads = grid_faces(*points.shape[:2])
    depth = flat[quads, 1]
    along_seam = depth[:, 0] + depth[:, 2] < depth[:, 1] + depth[:, 3]  # split quads so that an edge follows the seam
    quads = np.where(along_seam[:, None], quads[:, [1, 2, 3, 0]], quads)
    faces = triangles(quads)
    pad = outward(weld(Solid(flat, faces, np.full(len(faces), part_index("fabric")))))
    knob = lathe([(0, 0.006), (0.012, 0.002), (0.013, -0.002), (0.008, -0.006), (0, -0.007)], "fabric", "y", 8)
    inside = (np.abs(a) < columns - 0.5) & (np.abs(b - tiers) < tiers - 0.5)
    crossing = inside & (np.abs(np.sin(np.pi / 2 * (a + b))) + np.abs(np.sin(np.pi / 2 * (a - b))) < 1e-9)
    return join([pad, *(moved(knob, spot) for spot in front[crossing])])


def channelled(width: float, height: float, thickness: float, columns: int) -> Solid:
    """Make an upright pad about the origin, facing -y, quilted into vertical channels."""
    pitch = width / columns
    x = (np.arange(columns) + 0.5) * pitch - width / 2
    roll = rounded_box((0, 0, 0), (pitch + 0.002, thickness, height), 0.45 * min(pitch, thickness), "fabric", 3)
    return join([moved(roll, (at, 0, 0)) for at in x])
