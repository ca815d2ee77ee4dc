"""The measures of a parametric bicycle and the points they make. Metres; front at -y, bottom bracket at y = 0."""

from dataclasses import dataclass

import numpy as np

from blender_assets.shapes.cycle_parts import vec
from blender_assets.shapes.mesh import Array

SHELL_HALF = 0.034  # half width of the bottom bracket shell


@dataclass(frozen=True)
class BicyclePlan:
    """Measures in metres and degrees.

    tyre: half width of the tyre. drop: distance of the bottom bracket below the axles. seat_deg, head_deg: angles
    of seat tube and steering axis from the horizontal. rake: distance of the front axle before the steering axis.
    crown: from the front axle up to the fork's crown. head: length of the head tube. seat_tube: from the bottom
    bracket to its upper end; saddle: to the top of the saddle. stem: rise above the head tube and reach of the
    handlebar's clamp. hub: half widths of the front and rear hubs. ring, sprocket, crank: radii.
    """

    wheel: float
    tyre: float
    wheelbase: float
    chain_stay: float
    drop: float
    seat_deg: float
    head_deg: float
    rake: float
    crown: float
    head: float
    seat_tube: float
    saddle: float
    stem: tuple[float, float]
    hub: tuple[float, float] = (0.05, 0.066)
    ring: float = 0.095
    sprocket: float = 0.045
    crank: float = 0.172

    @property
    def bracket(self) -> Array:
        """Middle (3,) of the bottom bracket."""
        return np.array([0.0, 0.0, self.wheel - self.drop])

    @property
    def rear_axle(self) -> Array:
        """Middle (3,) of the rear hub."""
        return np.array([0.0, np.sqrt(self.chain_stay**2 - self.drop**2), self.wheel])

    @property
    def front_axle(self) -> Array:
        """Middle (3,) of the front hub."""
        return self.rear_axle - vec(0, self.wheelbase, 0)

    @property
    def head_axis(self) -> Array:
        """Direction (3,) of the steering axis, upwards."""
        angle = np.radians(self.head_deg)
        return np.array([0, np.cos(angle), np.sin(angle)])

    def steer(self, distance: float) -> Array:
        """Return the point (3,) on the steering axis at a distance above the front axle's foot on it."""
        forward = np.array([0, -self.head_axis[2], self.head_axis[1]])
        return np.asarray(self.front_axle - self.rake * forward + distance * self.head_axis)

    @property
    def head_low(self) -> Array:
        """Lower end (3,) of the head tube."""
        return self.steer(self.crown)

    @property
    def head_high(self) -> Array:
        """Upper end (3,) of the head tube."""
        return self.steer(self.crown + self.head)

    @property
    def clamp(self) -> Array:
        """Point (3,) at which the stem holds the handlebar."""
        rise, reach = self.stem
        return self.steer(self.crown + self.head + rise) + vec(0, -reach, 0.15 * reach)

    def seat(self, distance: float) -> Array:
        """Return the point (3,) on the axis of the seat tube at a distance from the bottom bracket."""
        angle = np.radians(self.seat_deg)
        return self.bracket + distance * np.array([0, np.cos(angle), np.sin(angle)])
