"""Rays through pixels and what they meet, by cutting every ray with every triangle (Moeller and Trumbore)."""

import numpy as np


def rays_of(pose, camera, row, column):
    """Return origin (3,) and directions (N, 3), of planar depth 1, of rays through pixels in object axes."""
    x, y = camera.principal_px
    ahead = [(column + 0.5 - x) / camera.focal_px, (row + 0.5 - y) / camera.focal_px, np.ones(len(row))]
    return -pose[:3, :3].T @ pose[:3, 3], np.stack(ahead, axis=1) @ pose[:3, :3]


def first_hits(origin, directions, vertices, faces):
    """Return planar depth (N,), inf for none, triangle (N,) and barycentric coordinates (N, 3) of the first hits."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    one, two, start = b - a, c - a, origin - a
    across, beside = np.cross(directions[:, None], two[None]), np.cross(start, one)
    size = (across * one).sum(axis=-1)
    size = np.where(np.abs(size) < 1e-15, np.nan, size)
    u, v = (across * start).sum(axis=-1) / size, directions @ beside.T / size
    depth = (two * beside).sum(axis=1) / size
    with np.errstate(invalid="ignore"):
        hit = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9) & (depth > 0)
    depth = np.where(hit, depth, np.inf)
    triangle, each = depth.argmin(axis=1), np.arange(len(directions))
    u, v = u[each, triangle], v[each, triangle]
    return depth[each, triangle], triangle, np.stack([1 - u - v, u, v], axis=1)


def unit(vectors):
    """Return vectors (..., 3) with length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
