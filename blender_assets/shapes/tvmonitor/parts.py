"""Parts of the parametric screens: cases of rounded rings along y, glass, feet, grilles. Metres, the screen at -y."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.mesh import Array, Solid, cylinder, loft, moved, pair, rounded_box

ACROSS, UP, CORNER = 14, 8, 4  # facets of a ring's long sides and of each corner
RoundedRectangle = tuple[float, float, float, float, float]  # half width, low, high, corner radius, y


@dataclass(frozen=True)
class Case:
    """The box of a screen in metres: half width, lower and upper edge, y of its front and of its rear.

    bezel: widths of the frame at the sides, below and above the glass. corner: radius of its corners.
    rear: half width, lower and upper edge of its rear if that is smaller, as for a picture tube.
    """

    half: float
    low: float
    high: float
    front: float
    back: float
    bezel: tuple[float, float, float]
    corner: float
    rear: tuple[float, float, float] | None = None

    @property
    def middle(self) -> float:
        """Height of the middle of the glass."""
        return (self.low + self.bezel[1] + self.high - self.bezel[2]) / 2

    def corners(self) -> dict[str, Array]:
        """Return the eight corners (3,) by the names of the keypoints."""
        half, low, high = self.rear or (self.half, self.low, self.high)
        named = {}
        for side, sign in (("left", 1.0), ("right", -1.0)):
            named[f"front_bottom_{side}"] = np.array([sign * self.half, self.front, self.low])
            named[f"front_top_{side}"] = np.array([sign * self.half, self.front, self.high])
            named[f"back_bottom_{side}"] = np.array([sign * half, self.back, low])
            named[f"back_top_{side}"] = np.array([sign * half, self.back, high])
        return named


def ring(half: float, low: float, high: float, radius: float, y: float) -> Array:
    """Return a rectangle with round corners (N, 3) at y, its sides divided so that it can be bent."""
    r = min(radius, 0.49 * (high - low), 0.98 * half)
    turn = np.radians(np.linspace(0, 90, CORNER + 1))
    corner = np.stack([np.cos(turn), np.sin(turn)], axis=1) * r
    quarter = corner + np.array([half - r, (high - low) / 2 - r])
    side = np.linspace(-1, 1, UP + 1)[1:-1, None] * [0, (high - low) / 2 - r] + [half, 0]
    top = np.linspace(1, -1, ACROSS + 1)[1:-1, None] * [half - r, 0] + [0, (high - low) / 2]
    upper = np.concatenate([quarter, top, (quarter * [-1, 1])[::-1]])
    around = np.concatenate([upper, side[::-1] * [-1, 1], (upper * [1, -1])[::-1], side])
    points = np.column_stack([around[:, 0], np.full(len(around), y), around[:, 1]])
    return np.asarray(points + np.array([0, 0, (low + high) / 2]))


def shell(sections: Sequence[RoundedRectangle], part: str) -> Solid:
    """Make a solid through rounded rectangles."""
    return loft(np.array([ring(*section) for section in sections]), part)


def _inner(case: Case, y: float, inset: float = 0.0) -> RoundedRectangle:
    """Return the glass's outline at y, smaller all around by `inset`."""
    side, below, above = case.bezel
    return case.half - side - inset, case.low + below + inset, case.high - above - inset, 0.5 * case.corner, y


def _nested(section: RoundedRectangle, shares: Sequence[float]) -> list[RoundedRectangle]:
    """Scale a rectangle about its middle by each share, so that the face within it can be bent."""
    half, low, high, radius, y = section
    middle, tall = (low + high) / 2, (high - low) / 2
    return [(s * half, middle - s * tall, middle + s * tall, max(s, 0.3) * radius, y) for s in shares]


def flat_case(case: Case, part: str, edge: float = 0.004) -> Solid:
    """Make a slim case with a rim around the recess for the glass and a flat rear."""
    half, low, high, y, end = case.half, case.low, case.high, case.front, case.back
    sections = [*_nested(_inner(case, y + 0.6 * (end - y)), (0.3, 0.65, 1.0)), _inner(case, y)]
    sections += [(half - edge, low + edge, high - edge, case.corner, y), (half, low, high, case.corner, y + edge)]
    sections += [(half, low, high, case.corner, end - edge), (half - edge, low + edge, high - edge, case.corner, end)]
    sections += _nested((half, low, high, case.corner, end), (0.7, 0.35))
    return shell(sections, part)


def tube_case(case: Case, shoulder: float, part: str) -> Solid:
    """Make a deep case of a picture tube: upright sides to y = shoulder, then tapered to the rear."""
    half, low, high, y, r = case.half, case.low, case.high, case.front, case.corner
    rear_half, rear_low, rear_high = case.rear or (half, low, high)
    edge = 0.5 * r
    sections = [_inner(case, y + 0.05, 0.012), _inner(case, y + 0.012, 0.008), _inner(case, y)]
    sections += [
        (half - edge, low + edge, high - edge, r, y),
        (half - 0.3 * edge, low + 0.3 * edge, high - 0.3 * edge, r, y + 0.3 * edge),
    ]
    sections += [(half, low, high, r, y + edge), (half, low, high, r, shoulder)]
    step = 0.012
    sections.append((half - step, low + 0.3 * step, high - step, r, shoulder + 0.004))
    for share in (0.12, 0.5, 0.9):
        s = share**1.4
        mix = [
            (1 - s) * a + s * b
            for a, b in zip((half - step, low, high - step), (rear_half, rear_low, rear_high), strict=True)
        ]
        sections.append((mix[0], mix[1], mix[2], r, shoulder + share * (case.back - shoulder)))
    sections += [
        (rear_half, rear_low, rear_high, r, case.back - 0.01),
        (rear_half - 0.01, rear_low + 0.01, rear_high - 0.01, r, case.back),
    ]
    middle = (rear_low + rear_high) / 2
    sections.append(
        (0.4 * rear_half, middle - 0.2 * (rear_high - rear_low), middle + 0.2 * (rear_high - rear_low), r, case.back)
    )
    return shell(sections, part)


def glass(case: Case, depth: float, bulge: float = 0.0) -> Solid:
    """Make the screen in its recess, `depth` behind the front; its middle bulges forwards by `bulge`."""
    y = case.front + depth
    sections = _nested(_inner(case, y + 0.008, -0.003), (0.3, 0.65, 1.0))
    for share in (1.0, 0.85, 0.65, 0.45, 0.25, 0.1):
        sections += _nested(_inner(case, y - bulge * (1 - share**2), -0.003), [share])
    return shell(sections, "glass")


def bowed(solid: Solid, depth: float, half: float) -> Solid:
    """Bend a solid about the z axis: points at |x| = half come forward (-y) by `depth` metres."""
    points = solid.vertices.copy()
    points[:, 1] -= depth * np.square(points[:, 0] / half)
    return Solid(points, solid.faces, solid.face_part)


def slots(
    at: ArrayLike, count: int, size: tuple[float, float, float], pitch: tuple[float, float, float]
) -> list[Solid]:
    """Make a row of dark bars about a point (3,): a grille of a loudspeaker or air vents."""
    p, step = np.asarray(at, float), np.asarray(pitch, float)
    radius = 0.3 * min(size)
    return [rounded_box(p + (k - (count - 1) / 2) * step, size, radius, "plastic", 1) for k in range(count)]


def base_plate(half: float, depth: float, height: float, y: float, part: str, round_: bool) -> Solid:
    """Make a foot plate on z = 0 about y, oval or with round corners, its upper edge rounded."""
    power = depth * 0.98 if round_ else 0.25 * depth
    rings = []
    for inset, z in ((0.004, 0.0), (0.0, 0.003), (0.0, height - 0.004), (0.004, height), (0.4 * depth, height + 0.002)):
        flat = ring(half - inset, -depth + inset, depth - inset, power, 0.0)
        rings.append(np.column_stack([flat[:, 0], flat[:, 2] + y, np.full(len(flat), z)]))
    return loft(np.array(rings), part)


def neck(low: ArrayLike, high: ArrayLike, half: tuple[float, float], depth: float, part: str) -> Solid:
    """Make an upright of a stand between two points (3,), half widths below and above, rounded."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    rings = []
    for share in np.linspace(0, 1, 8):
        wide = half[0] * (1 - share) ** 2 + half[1] * (1 - (1 - share) ** 2)
        flat = ring(wide, -depth, depth, 0.9 * depth, 0.0)
        middle = a * (1 - share) + b * share
        rings.append(np.column_stack([flat[:, 0], flat[:, 2] + middle[1], np.full(len(flat), middle[2])]))
    return loft(np.array(rings), part)


def buttons(y: float, z: float, count: int, pitch: float) -> list[Solid]:
    """Make a row of round push buttons facing the front, the lamp of the switch in the middle."""
    solids = []
    for k in range(count):
        x = (k - (count - 1) / 2) * pitch
        part = "light" if 2 * k == count - 1 else "metal"
        solids.append(cylinder((x, y + 0.004, z), (x, y - 0.005, z), 0.28 * pitch, part, 12))
    return solids


def rear_box(case: Case, half: float, low: float, high: float, depth: float) -> list[Solid]:
    """Make a box of the electronics on the rear of a flat case, with vents, sockets and a mount."""
    y = case.back
    sections = [(half, low, high, 0.03, y - 0.005), (half, low, high, 0.03, y + 0.4 * depth)]
    sections += [
        (half - 0.01, low + 0.01, high - 0.01, 0.03, y + 0.9 * depth),
        (half - 0.02, low + 0.02, high - 0.02, 0.03, y + depth),
    ]
    sections.append((0.4 * half, low + 0.3 * (high - low), high - 0.3 * (high - low), 0.02, y + depth))
    size = 0.11 * (high - low)
    vents = slots((0, y + depth, high - 0.16 * (high - low)), 9, (0.012, 0.006, size), (0.024, 0, 0))
    sockets = slots((0, y + depth, low + 0.14 * (high - low)), 4, (0.02, 0.008, 0.012), (0.034, 0, 0))
    mount = [pair(cylinder((0.05, y + depth - 0.004, z), (0.05, y + depth + 0.004, z), 0.008, "metal", 10))
             for z in ((low + high) / 2 - 0.05, (low + high) / 2 + 0.05)]  # fmt: skip
    return [shell(sections, "plastic"), *vents, *sockets, *mount]


def tilted(solid: Solid, about: ArrayLike, rotation: Array) -> Solid:
    """Rotate a solid by a matrix about a point (3,)."""
    point = np.asarray(about, float)
    return moved(moved(solid, -point), point, rotation)
