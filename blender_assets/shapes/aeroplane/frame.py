"""Common parts of all parametric aeroplanes: wing, tail plane, fin with keypoints of PASCAL3D+, lamps at the tips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blender_assets.shapes.aeroplane.parts import Knots, WingSection, fin, wing
from blender_assets.shapes.mesh import Array, Draft, Solid, curve, pair, rounded_box, with_right

TIP = 0.2  # share of the chord behind a tip's leading edge, at which the lamp and the keypoint lie


@dataclass(frozen=True)
class Airframe:
    """Surfaces of an aeroplane, in metres: sections of wing, tail plane and fin, knots (s, z) of the fuselage.

    nose_gear: y and z of the point at which the nose gear stands on the ground; without a nose gear, the point under
    the nose at which it would begin. fin_x: distance of twin fins from the middle plane, 0 for a single fin.
    """

    length: float
    main: Sequence[WingSection]
    tail: Sequence[WingSection]
    upright: Sequence[WingSection]
    top: Knots
    bottom: Knots
    nose_gear: tuple[float, float]
    fin_x: float = 0.0

    def shape(self, solids: Sequence[Solid]) -> Draft:
        """Make the aeroplane of its surfaces, lamps and `solids`."""
        upright = fin(self.upright, self.length, self.fin_x)
        keypoints = self._keypoints()
        size = 0.004 * self.length
        lamp = rounded_box(keypoints["left_wing"], (3 * size, 6 * size, 3 * size), size, "light", 1)
        beacon = rounded_box(keypoints["rudder_upper"], (2.5 * size, 5 * size, 3 * size), size, "taillight", 1)
        return Draft(
            [
                *solids,
                wing(self.main, self.length),
                wing(self.tail, self.length),
                pair(upright) if self.fin_x else upright,
                pair(lamp),
                beacon,
            ],
            with_right(keypoints),
        )

    def _tip(self, section: WingSection) -> Array:
        """Return the point (3,) at the front of a wing's tip."""
        return np.array([section.span, section.s - self.length / 2 + TIP * section.chord, section.z])

    def _keypoints(self) -> dict[str, Array]:
        """Return PASCAL3D+'s keypoints except those on the right; with twin fins the rudder's lie below them on the
        spine."""
        foot, head = self.upright[0], self.upright[-1]
        rear = [np.array([a.s + a.chord, a.span]) for a in (foot, head)]
        if self.fin_x:
            low, high = (
                np.array([s, float(curve(s, self.top))]) for s in (rear[0][0], min(rear[1][0], 0.98 * self.length))
            )
        else:
            share = np.clip((float(curve(rear[0][0], self.top)) - foot.span) / (head.span - foot.span), 0, 1)
            low, high = rear[0] + share * (rear[1] - rear[0]), rear[1]
        end = (float(curve(self.length, self.top)) + float(curve(self.length, self.bottom))) / 2
        return {
            "left_wing": self._tip(self.main[-1]),
            "left_elevator": self._tip(self.tail[-1]),
            "noselanding": np.array([0.0, *self.nose_gear]),
            "rudder_lower": np.array([0.0, low[0] - self.length / 2, low[1]]),
            "rudder_upper": np.array([0.0, high[0] - self.length / 2, high[1]]),
            "tail": np.array([0.0, self.length / 2, end]),
        }
