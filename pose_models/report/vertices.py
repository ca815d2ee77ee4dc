"""The picture of robust vertices: acceptance of the features that images give them, before and after an adaptation."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from scipy.spatial import cKDTree

from p3d_gen.core.codecs import encode_png
from p3d_gen.core.cuboid import Cuboid, cuboid, facing
from p3d_gen.core.errors import DataError
from p3d_gen.core.geometry import cam_T_obj, camera_centre, transform
from p3d_gen.core.types import Array, Picture, Viewpoint
from p3d_gen.run.files import write_bytes
from pose_models.report.draw import FAINT, INK, Colour, blank, fitted, polyline, write_texts
from pose_models.report.runs import MODEL_FILE, SOURCE_FILE, source_folder

VERTICES_FILE, PICTURE_FILE = "vertices.safetensors", "vertices.png"
ROBUST = 0.5
_VIEWS = (("from the front left", 45.0, 30.0), ("from the back right", 225.0, 30.0))
_DISTANCE = 3.0
_PANEL_W, _PANEL_H, _INSET = 350, 300, 18
_GAP, _MARGIN, _HEADING, _NAMES, _COUNTS, _LEGEND = 4, 24, 44, 28, 58, 64
_PAPER, _DARK, _EDGE, _UNSEEN = (255, 255, 255), (46, 50, 56), (120, 126, 134), (120, 126, 134)
_TOP_SIDE, _SIDE = (84, 89, 96), (66, 70, 77)
_TOPS = (0.05, 0.1, 0.2, 0.5, 1.0)
_BAR_W, _BAR_H = 300, 16
_SMALLEST_DOT, _LARGEST_DOT = 2.0, 7.0
_SUBPIXEL_BITS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class VertexRates:
    """A category's neural mesh of R vertices and how often, of the times that a pose shows a vertex, the feature there
    is accepted: before (R,) by the source model, after (R,) by the adapted one, None if no epoch is done.

    In 0..1; NaN if no pose shows the vertex.
    """

    category: str
    mesh: Cuboid
    before: Array
    after: Array | None


def _cuboid(spec: dict[str, Any]) -> Cuboid:
    """Make the cuboid as the model does, with corners in single precision."""
    lower, upper = (np.array(spec[name], dtype=np.float32) for name in ("box_lower", "box_upper"))
    return cuboid(cast(Array, lower), cast(Array, upper), int(spec["vertices"]))


def _meshes(path: Path) -> dict[str, Cuboid]:
    """Read the cuboids of a model.json by category."""
    try:
        specs: list[dict[str, Any]] = json.loads(path.read_text())["meshes"]
        return {str(spec["category"]): _cuboid(spec) for spec in specs}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"cannot read the meshes in {path}: {error!r}; give the run of a neural mesh model") from error


def _model_file(run: Path) -> Path:
    """Find the model.json of a finished run, else that of its source model."""
    if (run / MODEL_FILE).is_file():
        return run / MODEL_FILE
    source = source_folder(run)
    if not source:
        raise DataError(f"{run} holds neither {MODEL_FILE} nor {SOURCE_FILE}: there is no mesh to show the vertices of")
    path = Path(source) / MODEL_FILE
    if not path.is_file():
        raise DataError(
            f"{run / SOURCE_FILE} names the source model {source}, but there is no {path}: start in the folder in "
            "which the adaptation was started"
        )
    return path


def read_vertices(run: Path) -> list[VertexRates]:
    """Read the first and the last epoch of a run's record of vertices, by category; empty if there is no record yet.

    The meshes are those of the run's own model, else of the source model that its source.json names. ValueError naming
    the file if one of them cannot be read or does not fit.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = run / VERTICES_FILE
    if not path.is_file():
        return []
    try:
        record = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    model = _model_file(run)
    meshes, shown = _meshes(model), []
    for name in sorted(name for name in record if name.endswith("/acceptance")):
        category, rates = name.rpartition("/")[0], record[name].astype(np.float64)
        if category not in meshes or rates.ndim != 2 or rates.shape[1] != len(meshes[category].vertices):
            raise DataError(f"{path}: {name} {rates.shape} does not fit the meshes of {model}: is it of another model?")
        if len(rates):
            after = rates[-1] if len(rates) > 1 else None
            shown.append(VertexRates(category=category, mesh=meshes[category], before=rates[0], after=after))
    return shown


def _inset(mesh: Cuboid) -> Array:
    """Move vertices (R, 3) inwards on their own side of the box, to the middles of as many equal cells: copies of an
    edge's vertex on two sides lie side by side."""
    points: Array = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    moved = points.copy()
    for normal in np.unique(mesh.normals, axis=0):
        rows = (mesh.normals == normal).all(axis=1)
        for axis in np.flatnonzero(normal == 0).tolist():
            count = len(np.unique(points[rows, axis]))
            moved[rows, axis] *= (count - 1) / count
    return moved


def _projection(mesh: Cuboid) -> list[tuple[Viewpoint, Callable[[Array], Array]]]:
    """Return for each view its viewpoint and the map from points (N, 3), about the box's centre, to pixels (N, 2) of a
    panel.

    The box is centred, and equally large in all views.
    """
    size = float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    corners = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2

    def flat(view: Viewpoint, points: Array) -> Array:
        in_cam = transform(cam_T_obj(view), points)
        return np.asarray(in_cam[:, :2] / in_cam[:, 2:])

    views = [
        Viewpoint(azimuth_rad=np.radians(a), elevation_rad=np.radians(e), theta_rad=0.0, distance=_DISTANCE * size)
        for _, a, e in _VIEWS
    ]
    boxes = [(flat(view, corners).min(0), flat(view, corners).max(0)) for view in views]
    room = np.array([_PANEL_W, _PANEL_H]) - 2.0 * _INSET
    scale = min(float((room / (high - low)).min()) for low, high in boxes)
    middle = np.array([_PANEL_W, _PANEL_H]) / 2

    def to_panel(view: Viewpoint, low: Array, high: Array) -> Callable[[Array], Array]:
        return lambda points: middle + scale * (flat(view, points) - (low + high) / 2)

    return [(view, to_panel(view, low, high)) for view, (low, high) in zip(views, boxes, strict=True)]


def _fixed(points: Array) -> Any:
    return np.rint((points - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _circle(picture: Picture, at: Array, radius: float, colour: Colour, thickness: int) -> None:
    size = round(radius * (1 << _SUBPIXEL_BITS))
    cv2.circle(picture, _fixed(at).tolist(), size, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def colours(rates: Array, top: float) -> list[Colour]:
    """Return a colour for each rate (N,) from 0 to `top`, perceptually ordered, brighter for more (viridis)."""
    levels = np.rint(255 * np.clip(np.nan_to_num(rates) / top, 0, 1)).astype(np.uint8)
    table = cv2.applyColorMap(levels[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]
    return [(int(r), int(g), int(b)) for r, g, b in table]


def _panel(mesh: Cuboid, rates: Array, top: float, index: int) -> Picture:
    """Draw one view: the visible sides of the box, and a dot for each of their vertices; a ring if there is no rate."""
    view, to_panel = _projection(mesh)[index]
    picture = blank(_PANEL_H, _PANEL_W, _DARK)
    centre = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    seen = facing(mesh, centre + camera_centre(view))
    pixels = to_panel(_inset(mesh))
    for normal in np.unique(mesh.normals[seen], axis=0):
        side = to_panel((mesh.vertices - centre)[(mesh.normals == normal).all(axis=1)])
        hull = cv2.convexHull(side.astype(np.float32))[:, 0]
        cv2.fillConvexPoly(picture, _fixed(hull), _TOP_SIDE if normal[2] > 0 else _SIDE, cv2.LINE_AA, _SUBPIXEL_BITS)
        polyline(picture, np.concatenate([hull, hull[:1]]), _EDGE, 1)
    nearest = cKDTree(pixels[seen]).query(pixels[seen], k=2)[0][:, 1]
    radii = np.clip(0.42 * nearest, _SMALLEST_DOT, _LARGEST_DOT)
    for at, radius, rate, colour in zip(pixels[seen], radii, rates[seen], colours(rates[seen], top), strict=True):
        if np.isnan(rate):
            _circle(picture, at, radius / 2, _UNSEEN, 1)
        else:
            _circle(picture, at, radius, colour, -1)
    return picture


def counts(rates: Array) -> dict[str, int]:
    """Count the vertices (R,) that are robust (accepted in at least half of the times they are shown), sometimes
    accepted, never accepted, and never shown; together R."""
    return {
        "robust": int((rates >= ROBUST).sum()),
        "sometimes": int(((rates > 0) & (rates < ROBUST)).sum()),
        "never": int((rates == 0).sum()),
        "never shown": int(np.isnan(rates).sum()),
    }


def _sentences(name: str, rates: Array, before: Array | None) -> list[str]:
    numbers, shown = counts(rates), rates[~np.isnan(rates)]
    mean = f"; mean {100 * shown.mean():.1f} %" if len(shown) else ""
    first = f"{name}: {numbers['robust']} of {len(rates)} vertices robust{mean}"
    if before is not None:
        gained, lost = ((rates >= ROBUST) & ~(before >= ROBUST)).sum(), ((before >= ROBUST) & ~(rates >= ROBUST)).sum()
        first += f"; {gained} became robust, {lost} ceased to be"
    seldom = f"{numbers['sometimes']} accepted less often, {numbers['never']} never accepted"
    return [first, f"{seldom}, {numbers['never shown']} not shown"]


def _half(rates: VertexRates, which: Array, name: str, before: Array | None, top: float) -> Picture:
    """Draw both views of one model's rates, with the names above them and the counts beneath."""
    width = 2 * _PANEL_W + _GAP
    names, lines = blank(_NAMES, width, _PAPER), blank(_COUNTS, width, _PAPER)
    for i, (view, _, _) in enumerate(_VIEWS):
        write_texts(names, [(i * (_PANEL_W + _GAP) + 2, _NAMES / 2, f"{name}, {view}", "lm")], 14, FAINT)
    for i, line in enumerate(_sentences(name, which, before)):
        write_texts(lines, [(2, 18 + 20 * i, fitted(line, 14, width - 4), "lm")], 14, FAINT if i else INK)
    panels = [_panel(rates.mesh, which, top, i) for i in range(len(_VIEWS))]
    return np.vstack([names, np.hstack([panels[0], blank(_PANEL_H, _GAP, _PAPER), panels[1]]), lines])


def _legend(width: int, top: float) -> Picture:
    picture = blank(_LEGEND, width, _PAPER)
    left, y = _MARGIN + 12, 12
    steps = np.linspace(0, top, _BAR_W)
    picture[y : y + _BAR_H, left : left + _BAR_W] = np.array(colours(steps, top), dtype=np.uint8)
    ticks = [(left + _BAR_W * i / 4, y + _BAR_H + 12, f"{100 * top * i / 4:.3g} %", "mm") for i in range(5)]
    text = "acceptance: of the times that a pose shows the vertex, how often its feature is accepted"
    right = left + _BAR_W + 50
    write_texts(picture, [*ticks, (right, y + _BAR_H / 2, fitted(text, 14, width - right - _MARGIN), "lm")], 14, INK)
    ring = np.array([right + 6.0, y + _BAR_H + 12.0])
    _circle(picture, ring, 4, _UNSEEN, 1)
    note = f"no pose shows the vertex;   robust: at least {100 * ROBUST:.0f} %;   the underside is counted, not drawn"
    write_texts(picture, [(right + 18, y + _BAR_H + 12, note, "lm")], 14, FAINT)
    return picture


def vertices_picture(rates: Sequence[VertexRates], title: str) -> Picture:
    """Draw each category's cuboid from two opposite corners above it, the source model's on the left, the adapted one's
    on the right.

    Every vertex except those of the underside is a dot coloured by its rate on one common scale. Counts of all vertices
    beneath.

    ValueError if there is no category, or a rate lies outside 0..1.
    """
    if not rates:
        raise ValueError("no vertices to show: the run has no record of them yet")
    every = np.concatenate([part for each in rates for part in (each.before, each.after) if part is not None])
    highest = float(np.nanmax(every)) if np.isfinite(every).any() else 0.0
    if highest > 1 or (every < 0).any():
        raise ValueError(f"acceptance rates are shares in 0..1, not {np.nanmin(every):g} to {highest:g}")
    top = next(top for top in _TOPS if highest <= top)
    half = 2 * _PANEL_W + _GAP
    width = 2 * half + 3 * _MARGIN
    head = blank(_HEADING, width, _PAPER)
    write_texts(head, [(_MARGIN, _HEADING / 2, fitted(title, 20, width - 2 * _MARGIN), "lm")], 20, INK)
    parts = [head, _legend(width, top)]
    for each in rates:
        row = blank(_HEADING + _NAMES + _PANEL_H + _COUNTS, width, _PAPER)
        write_texts(row, [(_MARGIN, _HEADING / 2, each.category, "lm")], 18, INK)
        row[_HEADING:, _MARGIN : _MARGIN + half] = _half(each, each.before, "source model", None, top)
        if each.after is not None:
            row[_HEADING:, -_MARGIN - half : -_MARGIN] = _half(each, each.after, "adapted", each.before, top)
        parts.append(row)
    return np.vstack(parts)


def write_vertices(run: Path, title: str) -> Path | None:
    """Write RUN/vertices.png, unless there is one that is newer than the record, and return its path; None if the run
    has no record of vertices yet."""
    record, path = run / VERTICES_FILE, run / PICTURE_FILE
    if record.is_file() and path.is_file() and path.stat().st_mtime_ns > record.stat().st_mtime_ns:
        return path
    rates = read_vertices(run)
    if not rates:
        return None
    write_bytes(path, encode_png(vertices_picture(rates, title)))
    return path
