"""Connections between the triangles of a mesh. Pure numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _edges(faces: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the directed edges (3 F, 2) of faces (F, 3), and for each the number of its undirected edge."""
    directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, number = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True)
    return directed, number.reshape(-1)


def is_watertight(faces: NDArray[Any]) -> bool:
    """Return True if every edge of the faces (F, 3) belongs to two of them."""
    _, number = _edges(faces)
    return bool((np.bincount(number) == 2).all())


def same_way_edges(faces: NDArray[Any]) -> int:
    """Count the edges of two faces that both run through in the same direction: 0 if the winding is consistent."""
    directed, number = _edges(faces)
    forwards = np.bincount(number, weights=directed[:, 0] < directed[:, 1])
    return int(((np.bincount(number) == 2) & (forwards != 1)).sum())
