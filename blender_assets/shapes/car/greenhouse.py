"""The greenhouse of a parametric car: windscreen, side and rear windows, pillars and roof, one lofted surface.

A grid of points for the half x >= 0 like the body's: columns from the middle of the windscreen around the side to
the middle of the rear window, rows from the belt line up. Windows are cells set into their frames.
"""

import numpy as np

from blender_assets.shapes.car.shell import CarPlan, mark, quarter, towards_spine
from blender_assets.shapes.mesh import Array, Solid, both_sides, curve, panelled, part_index

ROWS = (0.0, 0.12, 0.3, 0.5, 0.7, 0.88, 0.95, 1.0)  # heights as fractions; glass from the second to the sixth
GLASS_ROWS = (1, 5)


def _ends(plan: CarPlan, lean: Array | float) -> tuple[Array, Array]:
    """Return distances s of windscreen and rear window in the middle; lean is 0 at the belt and 1 at the roof's
    edge."""
    front = plan.cowl + (plan.roof_front - plan.cowl) * np.asarray(lean)
    return front, plan.glass_rear + (plan.roof_rear - plan.glass_rear) * np.asarray(lean)


def _corner_depths(plan: CarPlan, lean: Array | float) -> tuple[Array, Array]:
    """Return the distances by which the front and rear corners of the greenhouse lie within its ends, in metres."""
    front, rear = _ends(plan, lean)
    return np.minimum(0.28 - 0.1 * np.asarray(lean), 0.2 * (rear - front)), np.minimum(0.2, 0.15 * (rear - front))


def _window_columns(plan: CarPlan) -> tuple[Array, Array, Array]:
    """Return columns of the greenhouse: x fraction, place along the side (0 at its front edge, 1 at its rear), kind.

    kind 0 windscreen, 1 front corner, 2 side glass, 3 post, 4 rear corner, 5 rear window, for the cell that follows.
    """
    front_x, front_y = quarter((0, 0.3, 0.6, 0.87), 5.0, 4)
    rear_x, rear_y = quarter((0, 0.3, 0.6, 0.83), 5.0, 4)
    posts = [0.035]
    bow, tail = (float(depth) for depth in _corner_depths(plan, 0.0))
    reach = plan.glass_rear - tail - plan.cowl - bow
    for p in ((s - plan.cowl - bow) / reach for s in plan.pillars):
        posts += [p - 0.014, p + 0.014]
    posts += [plan.quarter]
    side, kind = [0.0], [3]
    for i in range(0, len(posts), 2):
        cells = max(2, round((posts[i + 1] - posts[i]) / 0.12))
        side += list(np.linspace(posts[i], posts[i + 1], cells + 1))
        kind += [2] * cells + [3]
    x = np.concatenate([front_x, np.ones(len(side) + 1), rear_x[::-1]])
    place = np.concatenate([-front_y, side, [1.0], 1 + rear_y[::-1]])
    kinds = [0, 0, 0] + [1] * 5 + kind + [4] * 5 + [5] * 3
    return x, place, np.array(kinds)


def _walls(plan: CarPlan) -> tuple[Array, Array]:
    """Return points (rows, columns, 3) of the upright sides from the belt line to the roof's edge, and the column
    kinds."""
    x, place, kind = _window_columns(plan)
    rows = np.array(ROWS)
    lean = curve(rows, ((0, 0), (0.5, 0.46), (0.88, 0.85), (1, 1)))[:, None]
    front, rear = _ends(plan, lean)
    half = plan.half_width * curve(rows, ((0, 0.9), (0.5, 0.83), (0.88, 0.73), (0.95, 0.69), (1, 0.62)))[:, None]
    bow, tail = _corner_depths(plan, lean)
    along = front + bow + np.clip(place, 0, 1) * (rear - front - bow - tail)
    along = along + np.minimum(place, 0) * bow + np.maximum(place - 1, 0) * tail
    points = np.empty((len(rows), len(x), 3))
    points[..., 0] = half * x
    points[..., 1] = along - plan.length / 2
    foot = plan.deck_height(points[0, :, 1], plan.half_width) - 0.02
    points[..., 2] = foot + rows[:, None] * (plan.roof_at(points[-1, :, 1], points[-1, :, 0]) - foot)
    return points, kind


def window_corners(plan: CarPlan) -> tuple[Array, Array]:
    """Return the upper left corners (3,) of the windscreen and of the rear window, in metres."""
    points, kind = _walls(plan)
    edge = points[GLASS_ROWS[1]]
    return edge[np.flatnonzero(kind == 0)[-1] + 1], edge[np.flatnonzero(kind == 5)[0]]


def greenhouse(plan: CarPlan) -> Solid:
    """Make the closed upper body: windscreen, side and rear windows set into their frames, pillars and roof."""
    points, kind = _walls(plan)
    span = (plan.roof_front + 0.35, max(plan.roof_rear - 0.3, plan.roof_front + 0.4))
    roof = towards_spine(points[-1], plan, (0.15, 0.5, 1.0), span)
    roof[..., 2] = plan.roof_at(roof[..., 1], roof[..., 0])
    base = towards_spine(points[0], plan, (1.0,), span)
    base[..., 2] = points[0, :, 2].min()
    grid = np.concatenate([base, points, roof])
    part = np.full((grid.shape[0] - 1, grid.shape[1] - 1), part_index("paint"))
    depth = np.zeros(part.shape)
    glass = np.isin(kind, (0, 2, 5))
    for row in range(len(base) + GLASS_ROWS[0], len(base) + GLASS_ROWS[1]):
        mark(part[row], depth[row], glass, "glass", 0.016)
    return both_sides(panelled(grid, part, depth))
