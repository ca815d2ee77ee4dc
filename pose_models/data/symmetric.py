"""Categories whose pictures may be mirrored: those of shapes that are symmetric in their x, left and right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import ConfigError
from p3d_gen.core.types import Array

_FARTHEST = 0.05


def is_left_right_symmetric(vertices: Array) -> bool:
    """Return if every vertex (V, 3) has one near its mirror image in x: within 5% of the diagonal of the box.

    The vertices are those of a CAD model in object axes, centred on its box.
    """
    from scipy.spatial import cKDTree

    diagonal = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    farthest = cKDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])[0].max()
    return bool(farthest <= _FARTHEST * diagonal)


def unmirrored(cads: Mapping[str, Collection[Array]]) -> tuple[str, ...]:
    """Return the categories whose pictures must not be mirrored, from the vertices of their CAD models.

    In a mirrored picture a mug with its handle on the left has it on the right, and the label of the mirrored pose is
    wrong. The built-in categories are taken to be symmetric, as in the papers; others without a CAD model are not.
    """
    return tuple(
        name
        for name, models in cads.items()
        if name not in BUILTIN and not (models and all(map(is_left_right_symmetric, models)))
    )


def check_mirror(mirror: bool, unmirrored: Sequence[str]) -> None:
    """Raise ConfigError if pictures are to be mirrored of categories whose shapes' left and right differ."""
    if mirror and unmirrored:
        raise ConfigError(
            f"--mirror: left and right of the shapes of {unmirrored[0]!r} differ, so that a mirrored picture shows no "
            "pose of them; leave it out"
        )
