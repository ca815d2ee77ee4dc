"""Parts of the parametric bottles: blown bodies and their closures. Millimetres until `finished`; z up, foot at 0."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import (
    Array,
    Solid,
    grid_faces,
    grid_solid,
    lathe,
    moved,
    outward,
    part_index,
    triangles,
    weld,
)

SEGMENTS = 48
Span = tuple[str, ArrayLike]  # part, and the rows (P, 2) or (P, 4) of a stretch of the outline, see `rows`


def rows(outline: ArrayLike) -> Array:
    """Return rows (P, 4): half width in x, half width in y, corner radius, height; (radius, height) rows are round."""
    points = np.asarray(outline, float)
    return points if points.shape[1] == 4 else points[:, [0, 0, 0, 1]]


def blown(spans: Sequence[Span]) -> Solid:
    """Make a body through the rows of all spans, from the axis below to that above; a step belongs to the span after
    it."""
    stack = [(part_index(part), rows(outline)) for part, outline in spans]
    row = np.concatenate([outline for _, outline in stack])
    part = np.concatenate([np.full(len(outline), number) for number, outline in stack])[1:]
    angle = 2 * np.pi * (np.arange(SEGMENTS + 1) % SEGMENTS) / SEGMENTS
    cos, sin = (np.where(np.abs(ring) < 1e-12, 0, ring) for ring in (np.cos(angle), np.sin(angle)))
    half_x, half_y, corner, height = (column[:, None] for column in row.T)
    x = np.sign(cos) * (half_x - corner) + corner * cos
    y = np.sign(sin) * (half_y - corner) + corner * sin
    points = np.stack([x, y, np.broadcast_to(height, x.shape)], axis=-1).reshape(-1, 3)
    faces = triangles(grid_faces(len(row), SEGMENTS + 1))
    return outward(weld(Solid(points, faces, np.repeat(part, 2 * SEGMENTS))))


def shoulder(low: ArrayLike, high: ArrayLike, hug: ArrayLike, steps: int = 12) -> Array:
    """Return rows of an S-shaped stretch, upright at both ends, between two rows (2,) or (4,).

    hug (2,): share of its height over which the curve follows the tangent of its lower and its upper end.
    """
    lower, upper = np.asarray(hug, float)
    a, b = rows(np.array([low]))[0], rows(np.array([high]))[0]
    t = np.linspace(0, 1, steps + 1)[:, None]
    rise = np.array([0, 0, 0, b[3] - a[3]])
    p, q = a + lower * rise, b - upper * rise
    return np.asarray((1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * p + 3 * t * t * (1 - t) * q + t**3 * b)


def foot(section: ArrayLike, bend: float, punt: float) -> Array:
    """Return rows of the bottom: a hollow of the height `punt`, the ring it stands on, a rounded edge of the radius
    `bend`.

    section (3,): half width in x and y and radius of the corners of the body above.
    """
    outer = np.asarray(section, float)
    inner = outer - 1.25 * bend
    below = [(*(inner * share), punt * (1 - share**2)) for share in (0.0, 0.3, 0.55, 0.75, 0.88)]
    edge = [(*(outer - bend * (1 - np.sin(t))), bend * (1 - np.cos(t))) for t in np.linspace(0, np.pi / 2, 5)]
    return np.array(below + edge)


def beads(radius: float, low: float, high: float, count: int, depth: float, waist: float = 0) -> Array:
    """Return rows of `count` rounded rings between two heights, as in a plastic bottle; all lengths in mm.

    depth: of the grooves between the rings. waist: by how much the middle is slimmer.
    """
    share = np.arange(6 * count + 1) / (6 * count)
    groove = np.abs(np.cos(np.pi * count * share)) ** 3
    return np.stack([radius - depth * groove - waist * np.sin(np.pi * share) ** 2, low + (high - low) * share], axis=1)


def label(body: str, part: str, section: ArrayLike, low: float, high: float) -> list[Span]:
    """Return spans of a label all round a straight stretch of a body, 0.5 mm thick, between two heights.

    section (3,): the body's half width in x and y and the radius of its corners.
    """
    plain, raised = np.asarray(section, float), np.asarray(section, float) + 0.5
    return [(body, [(*plain, low)]), (part, [(*raised, low), (*raised, high)]), (body, [(*plain, high)])]


def collar(body: str, part: str, curve: Array, first: int, last: int) -> list[Span]:
    """Return spans of a curved stretch (P, 4) of a body with a band 0.5 mm thick from one of its rows to another."""
    raised = curve[first : last + 1] + np.array([0.5, 0.5, 0.5, 0])
    return [(body, curve[: first + 1]), (part, raised), (body, curve[last:])]


def lip(radius: float, top: float, ring: float, depth: float) -> Array:
    """Return rows of an open mouth of a radius: the ring around it is `ring` mm thick, the hole `depth` mm deep."""
    out, hole = radius + ring, 0.72 * radius
    outside = [(radius, top - 16), (out, top - 14.5), (out + 0.3, top - 9), (out, top - 7), (radius + 0.4, top - 6)]
    inside = [(radius + 0.3, top - 1.5), (radius - 0.8, top), (hole + 0.8, top), (hole, top - 1)]
    return np.array([*outside, *inside, (hole, top - depth), (0, top - depth)])


def closed_end(radius: float, height: float) -> Array:
    """Return rows of a plain end below a cap."""
    return np.array([(radius, height), (0, height)])


def fluted(profile: ArrayLike, part: str, flutes: int) -> Solid:
    """Make a solid about z from rows (P, 3): radius, height, and depth of the flutes around it, all in mm."""
    radius, height, depth = np.asarray(profile, float).T[..., None]
    count = 4 * flutes
    angle = 2 * np.pi * (np.arange(count + 1) % count) / count
    r = radius - depth * (0.5 - 0.5 * np.cos(flutes * angle))
    return grid_solid(np.stack([r * np.sin(angle), r * np.cos(angle), np.broadcast_to(height, r.shape)], -1), part)


def screw_cap(radius: float, low: float, height: float, part: str, flutes: int = 24) -> Solid:
    """Make a cap with grip flutes above its tamper ring; its lower rim at the height `low`."""
    r, ring = radius, 0.2 * height
    smooth = [(0, 0, 0), (r + 0.4, 0, 0), (r + 0.8, 0.5, 0), (r + 0.8, ring - 0.6, 0), (r - 0.3, ring - 0.3, 0)]
    grip = [(r - 0.3, ring + 0.3, 0), (r + 0.5, ring + 0.8, 0.9), (r + 0.4, 0.5 * height, 0.9)]
    end = [(r + 0.2, height - 1.8, 0.9), (r - 0.5, height - 0.5, 0), (r - 1.6, height, 0), (0, height, 0)]
    return moved(fluted([*smooth, *grip, *end], part, flutes), (0, 0, low))


def crown_cork(radius: float, top: float) -> Solid:
    """Make a crown cork of 6 mm with its 21 teeth around a mouth of a radius; its upper face at the height `top`."""
    r = radius
    skirt = [(0, -4, 0), (r, -4, 0), (r + 2.8, -6, 1.8), (r + 3, -5.6, 1.8), (r + 1.6, -3, 0.8), (r + 0.9, -1.2, 0.3)]
    return moved(fluted([*skirt, (r - 0.2, -0.3, 0), (0.8 * r, 0, 0), (0, 0, 0)], "metal", 21), (0, 0, top))


def cork(radius: float, low: float, height: float) -> Solid:
    """Make a natural cork that looks out of a mouth."""
    r = radius
    return lathe([(0, low), (r, low), (r, low + height - 1), (r - 1, low + height), (0, low + height)], "wood", "z", 32)


def stopper(radius: float, low: float, height: float, part: str) -> Solid:
    """Make a thick disc with rounded edges on a short neck, as on spirits; `low` is the rim of the mouth."""
    r, edge = radius, min(0.22 * height, 3.0)
    disc = [(0.55 * r, low - 6), (0.55 * r, low + 0.8), (r - edge, low + 0.8), (r - 0.3 * edge, low + 0.8 + 0.3 * edge)]
    upper = [(r, low + edge + 0.8), (r, low + height - edge), (r - 0.3 * edge, low + height - 0.3 * edge)]
    return lathe([(0, low - 6), *disc, *upper, (r - edge, low + height), (0, low + height)], part, "z", 48)


def champagne_cork(radius: float, low: float, part: str) -> Solid:
    """Make the foil over a sparkling wine's cork and wire: a waist below a bulbous head; `low` is the rim of the
    mouth."""
    r = radius
    waist = [(0, low - 14), (r + 1.2, low - 14), (r + 2.6, low - 11), (r + 2.4, low - 5), (r + 0.2, low - 1)]
    head = [(r - 0.6, low + 3), (r + 0.6, low + 7), (r + 1.8, low + 11), (r + 2, low + 15), (r + 1, low + 19)]
    plate = [(r - 1, low + 21), (r - 1.2, low + 21.8), (0.5 * r, low + 22.2), (0, low + 22.4)]
    return lathe([*waist, *head, *plate], part, "z", 48)


def finished(solids: Sequence[Solid]) -> list[Solid]:
    """Convert the solids from millimetres to metres."""
    return [Solid(solid.vertices / 1000, solid.faces, solid.face_part) for solid in solids]
