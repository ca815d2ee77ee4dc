"""The surface of a box-shaped body: its windows, doors, lamps and seams are cells of one grid.

The grid covers the half x >= 0: columns run from the middle of the front around the corner and the side to the middle
of the rear, rows from below to above. Rows and columns that are not needed in a region coincide there, so that their
cells vanish.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blender_assets.shapes.mesh import Array, Index, Solid, both_sides, panelled, part_index
from blender_assets.shapes.vehicle import CORNER_STEPS, SILL, UPRIGHT, Body, Panel

ROOF_SHARES = (0.3, 0.65, 1.0)  # of the way from the roof's edge to its spine
ARCH_STEPS = 12
EAVE_STEPS = 4
ARCH_RIM = 0.03  # height above a wheel arch up to which its columns run
FRONT, FRONT_CORNER, SIDE, REAR_CORNER, REAR = range(5)
ZONES = {"front": (FRONT, FRONT_CORNER), "side": (FRONT_CORNER, SIDE, REAR_CORNER), "rear": (REAR_CORNER, REAR)}


def stitched(solid: Solid) -> Solid:
    """Split the faces of a surface where a point of an open edge lies on another open edge.

    Where cells of three depths meet, the walls between them meet in such points.
    """
    faces, parts = solid.faces, solid.face_part
    while True:
        edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        size = len(solid.vertices)
        is_open = ~np.isin(edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0])
        lone = np.flatnonzero(is_open)
        ends = np.unique(edges[lone])
        a, b = solid.vertices[edges[lone]].transpose(1, 0, 2)
        to_a, to_b = a[:, None] - solid.vertices[ends], b[:, None] - solid.vertices[ends]
        excess = np.linalg.norm(to_a, axis=2) + np.linalg.norm(to_b, axis=2) - np.linalg.norm(a - b, axis=1)[:, None]
        between = (excess < 1e-6) & (ends != edges[lone, :1]) & (ends != edges[lone, 1:])
        face, hit = np.unique(lone[between.any(axis=1)] // 3, return_index=True)
        if not len(face):
            return Solid(solid.vertices, faces, parts)
        chosen = lone[between.any(axis=1)][hit]
        middle = ends[between.argmax(axis=1)[between.any(axis=1)][hit]]
        start, end = edges[chosen].T
        third = faces[face].sum(axis=1) - start - end
        faces = faces.copy()
        faces[face] = np.stack([start, middle, third], axis=1)
        faces = np.concatenate([faces, np.stack([middle, end, third], axis=1)])
        parts = np.concatenate([parts, parts[face]])


def _merged(regular: ArrayLike, marks: Sequence[float], gap: float) -> Array:
    """Return sorted marks and those regular positions that keep a gap from them; the first and last regular one
    stay."""
    places = np.asarray(regular, float)
    inside = np.unique(np.round([m for m in marks if places[0] < m < places[-1]], 5))
    keep = np.abs(places[:, None] - inside[None]).min(axis=1, initial=np.inf) > gap
    keep[[0, -1]] = np.abs(places[[0, -1], None] - inside[None]).min(axis=1, initial=np.inf) > 1e-4
    return np.sort(np.concatenate([inside, places[keep]]))


def _end_columns(body: Body, marks: Sequence[float], bow: float) -> tuple[Array, Array, int]:
    """Return the columns x, s of one end from its middle to the end of its corner, and their number before the
    corner."""
    flat = body.half_width - body.corner
    middle = _merged(np.linspace(0, flat, 5), marks, 0.08)
    turns = [float(np.arcsin((m - flat) / body.corner)) for m in marks if flat < m < body.half_width - 1e-6]
    x, s = body.corner_arc(_merged(np.linspace(0, np.pi / 2, CORNER_STEPS + 1), turns, 0.15)[1:])
    x = np.concatenate([middle, x])
    return x, np.concatenate([np.zeros(len(middle)), s]) + bow * np.square(x / body.half_width), len(middle)


def _columns(body: Body, panels: Sequence[Panel]) -> tuple[Array, Array, Index]:
    """Return plan positions x and s of all columns, and the zone of the cell behind each column except the last."""
    marks = {face: [m for p in panels if p.face == face for m in p.along] for face in ZONES}
    front_x, front_s, front_count = _end_columns(body, marks["front"], body.bow)
    rear_x, rear_s, rear_count = _end_columns(body, marks["rear"], 0.4 * body.bow)
    arc = np.cos(np.linspace(np.pi, 0, ARCH_STEPS + 1))
    arches = [s + r * turn for s, _, r in body.arches for turn in (*arc, -1 - 0.02 / r, 1 + 0.02 / r)]
    start, end = front_s[-1], body.length - rear_s[-1]
    regular = np.linspace(start, end, 2 + round((end - start) / 0.9))
    side = _merged(regular, [*marks["side"], *arches], 0.3)[1:-1]
    zone = [FRONT] * (front_count - 1) + [FRONT_CORNER] * (len(front_x) - front_count) + [SIDE] * (len(side) + 1)
    zone += [REAR_CORNER] * (len(rear_x) - rear_count) + [REAR] * (rear_count - 1)
    x = np.concatenate([front_x, np.full(len(side), body.half_width), rear_x[::-1]])
    return x, np.concatenate([front_s, side, body.length - rear_s[::-1]]), np.array(zone)


def _reaches(body: Body, panel: Panel, zone: int) -> bool:
    """Return True if a panel has cells in a zone; those of a corner only if it goes around it."""
    if zone not in ZONES[panel.face]:
        return False
    if zone in (FRONT_CORNER, REAR_CORNER) and panel.face != "side":
        return panel.along[1] > body.half_width - body.corner - 1e-4
    if zone == FRONT_CORNER:
        return panel.along[0] < body.corner + body.bow + 1e-4
    if zone == REAR_CORNER:
        return panel.along[1] > body.length - body.corner - 0.4 * body.bow - 1e-4
    return True


def _rows(body: Body, panels: Sequence[Panel]) -> tuple[Array, Array]:
    """Return the heights of the wall's rows, and (rows, zones) the height at which a row runs in each zone.

    Rows are edges of panels, knots of the walls' lean and the rounding under the roof. In a zone that does not need a
    row, the row coincides with the nearest one that is needed there, so that its cells vanish.
    """
    top = body.roof - body.eave
    knots = [z for table in (body.front, body.rear, body.side) if table is not UPRIGHT for z, _ in table]
    regular = np.linspace(body.floor, top, 2 + round((top - body.floor) / 0.6))
    eave = body.roof - body.eave * (1 - np.sin(np.linspace(0, np.pi / 2, EAVE_STEPS + 1)[1:]))
    marks = [[z for p in panels if _reaches(body, p, zone) for z in p.z if z < top - 1e-6] for zone in range(5)]
    marks[SIDE] += [at + r + ARCH_RIM for _, at, r in body.arches]
    bends = _merged([body.floor, body.floor + SILL, top], knots, 0.08)
    needed = [_merged(regular, [*m, *_merged(bends, m, 0.05)], 0.2) for m in marks]
    rows = np.unique(np.concatenate([*needed, eave]))
    runs = []
    for heights in needed:
        runs.append(_nearest(rows, np.unique(np.concatenate([heights, eave]))))
    return rows, np.stack(runs, axis=1)


def _nearest(places: Array, kept: Array) -> Array:
    """Move each place to the nearest of the kept ones."""
    return np.asarray(kept[np.abs(places[..., None] - kept).argmin(axis=-1)])


def _plan(body: Body, panels: Sequence[Panel], x: Array, s: Array, zone: Index, heights: Array) -> tuple[Array, Array]:
    """Return plan positions x and s (rows, columns) at the rows' heights (rows, columns).

    A column that only panels (or arches) at other heights need coincides with a neighbour, so that its cells vanish.
    """
    x, s = np.broadcast_to(x, heights.shape).copy(), np.broadcast_to(s, heights.shape).copy()
    for face, inner in (("front", FRONT), ("side", SIDE), ("rear", REAR)):
        along = s if face == "side" else x
        columns = np.flatnonzero((zone[:-1] == inner) & (zone[1:] == inner)) + 1
        spans = [(p.along, p.z) for p in panels if p.face == face]
        if face == "side":
            spans += [((s[0, i], s[0, i]), (body.floor, at + r + ARCH_RIM)) for c, at, r in body.arches for i in columns
                      if abs(s[0, i] - c) < r + 0.03]  # fmt: skip
        places = along[0, columns]
        regular = np.ones(len(places), bool)
        for edges, _ in spans:
            regular &= np.abs(places[:, None] - edges).min(axis=1) > 1e-4
        regular[[0, -1]] = True
        for row, z in enumerate(heights[:, columns[0]]):
            kept = regular.copy()
            for edges, (low, high) in spans:
                if low - 1e-4 <= z <= high + 1e-4:
                    kept |= np.abs(places[:, None] - edges).min(axis=1) <= 1e-4
            along[row, columns] = _nearest(places, places[kept])
    bow = np.where(zone == REAR, -0.4, 1.0) * body.bow
    ends = np.isin(zone, (FRONT, REAR)).nonzero()[0]
    start = np.where(zone == REAR, body.length, 0.0)
    s[:, ends] = (start + bow * np.square(x[:, :-1] / body.half_width))[:, ends]
    return x, s


def _arch_heights(body: Body, s: Array, flank: NDArray[np.bool_]) -> Array:
    """Return the lower edge z of the wall at distances s: the floor, or the wheel arch above it."""
    low = np.full_like(s, body.floor)
    for axle, height, radius in body.arches:
        across = radius**2 - np.square(s - axle)
        inside = (across > -1e-9) & flank
        low[inside] = np.maximum(low[inside], height + np.sqrt(np.maximum(across[inside], 0)))
    return low


def _towards_spine(ring: Array, shares: Sequence[float]) -> Array:
    """Return rings (len(shares), columns, 3) between an edge (columns, 3) and the middle line x = 0, by share of the
    way."""
    inset = min(0.8 * ring[:, 0].max(), 0.4 * (ring[-1, 1] - ring[0, 1]))
    spine = np.clip(ring[:, 1], ring[0, 1] + inset, ring[-1, 1] - inset)
    t = np.array(shares)[:, None]
    x = ring[:, 0] * (1 - t)
    return np.stack([x, ring[:, 1] * (1 - t) + spine * t, np.broadcast_to(ring[:, 2], x.shape)], axis=-1)


def coachwork(body: Body, panels: Sequence[Panel]) -> Solid:
    """Make the closed shell of a body with its panels; later panels cover earlier ones. The underside is plastic."""
    x, s, zone = _columns(body, panels)
    rows, runs = _rows(body, panels)
    height = runs[:, np.append(zone, zone[-1])]
    x_at, s_at = _plan(body, panels, x, s, zone, height)
    flank = np.isclose(x, body.half_width)
    low = _arch_heights(body, s_at, flank)
    wall = body.wall(x_at, s_at, np.maximum(height, low))
    well = wall[0].copy()
    foot = body.wall(x_at[0], s_at[0], body.floor)
    for axle, _, radius in body.arches:
        inside = flank & (np.abs(s_at[0] - axle) < radius + ARCH_RIM)
        well[inside, 0] = foot[inside, 0] = body.half_width - body.well
    roof = _towards_spine(wall[-1], ROOF_SHARES)
    roof[..., 2] = body.roof + body.crown * (1 - np.square(roof[..., 0] / wall[-1, :, 0].max()))
    below = np.concatenate([_towards_spine(foot, (1.0,)), foot[None], well[None]])
    points = np.concatenate([below, wall, roof])
    part = np.full((len(points) - 1, len(x) - 1), part_index("paint"))
    depth = np.zeros(part.shape)
    part[: len(below)] = part_index("plastic")
    cells = slice(len(below), len(below) + len(rows) - 1)
    x_mid, s_mid, z_mid = ((a[:-1] + a[1:]) / 2 for a in (x, s, rows))
    free = height[:-1, :-1] >= np.maximum(low[:-1, :-1], low[:-1, 1:]) - 1e-6
    for p in panels:
        place = s_mid if p.face == "side" else x_mid
        columns = np.isin(zone, ZONES[p.face]) & (place > p.along[0]) & (place < p.along[1])
        chosen = free & columns & ((z_mid > p.z[0]) & (z_mid < p.z[1]))[:, None]
        part[cells][chosen] = part_index(p.part)
        depth[cells][chosen] = p.depth
    return both_sides(stitched(panelled(points, part, depth)))
