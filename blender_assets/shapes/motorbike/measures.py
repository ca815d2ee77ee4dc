"""The measures of a parametric motorbike and the points they make. Metres; front at -y, y = 0 between the axles."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.cycle_parts import vec
from blender_assets.shapes.mesh import Array, Draft, Solid


@dataclass(frozen=True)
class MotorbikePlan:
    """Measures in metres and degrees.

    wheel, tyre: radii and half widths of front and rear wheel. head_deg: angle of the steering axis from the
    horizontal. offset: of the fork legs before that axis. crown: from the front axle up to the lower fork clamp; head:
    from there to the upper one. leg_x: of the fork's legs. bar: rise and reach back of the handlebar's clamp.
    """

    wheel: tuple[float, float]
    tyre: tuple[float, float]
    wheelbase: float
    head_deg: float
    offset: float
    crown: float
    head: float
    leg_x: float
    bar: tuple[float, float] = (0.05, 0.0)

    @property
    def front_axle(self) -> Array:
        """Middle (3,) of the front wheel."""
        return np.array([0, -self.wheelbase / 2, self.wheel[0]])

    @property
    def rear_axle(self) -> Array:
        """Middle (3,) of the rear wheel."""
        return np.array([0, self.wheelbase / 2, self.wheel[1]])

    @property
    def head_axis(self) -> Array:
        """Direction (3,) of the steering axis, upwards."""
        angle = np.radians(self.head_deg)
        return np.array([0, np.cos(angle), np.sin(angle)])

    @property
    def ahead(self) -> Array:
        """Direction (3,) square to the steering axis, forwards."""
        return np.array([0, -self.head_axis[2], self.head_axis[1]])

    def leg(self, distance: float, x: float = 0.0) -> Array:
        """Return the point (3,) at a distance above the axle along a fork leg, at x."""
        return self.front_axle + distance * self.head_axis + vec(x, 0, 0)

    def steer(self, distance: float) -> Array:
        """Return the point (3,) of the steering axis beside the fork legs' point at a distance above the axle."""
        return self.leg(distance) - self.offset * self.ahead

    @property
    def clamp(self) -> Array:
        """Point (3,) at which the upper fork clamp holds the handlebar."""
        rise, back = self.bar
        return self.steer(self.crown + self.head) + vec(0, back, rise)

    def shape(self, solids: Sequence[Solid], grip: Array, seat: tuple[Array, Array], lamp: Array) -> Draft:
        """Make the motorbike of these solids; middle of the left grip, front and rear of the seat, middle of the
        lamp."""
        keypoints: dict[str, ArrayLike] = {
            "front_seat": seat[0],
            "back_seat": seat[1],
            "head_center": self.clamp,
            "headlight_center": lamp,
        }
        for side, sign in (("left", 1.0), ("right", -1.0)):
            keypoints[f"{side}_front_wheel"] = self.front_axle + vec(sign * (self.leg_x + 0.03), 0, 0)
            keypoints[f"{side}_back_wheel"] = self.rear_axle + vec(sign * (self.tyre[1] + 0.065), 0, 0)
            keypoints[f"{side}_handle_center"] = grip * [sign, 1, 1]
        return Draft(solids, keypoints)


def vary(rng: np.random.Generator, value: float, share: float = 0.04) -> float:
    """Return the value, changed by up to a share of it."""
    return float(value * rng.uniform(1 - share, 1 + share))


def cover(rng: np.random.Generator) -> str:
    """Draw the part of a seat: mostly black vinyl, which is as smooth as plastic, else fabric."""
    return "plastic" if rng.random() < 0.7 else "fabric"
