"""The sections of a report on the samples: viewpoints, sizes, masks, label survival, and assets."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from p3d_gen.core.silhouette import MIN_MASK_IOU
from p3d_gen.core.types import Array
from p3d_gen.report.collect import SampleRows
from p3d_gen.report.coverage import evenness
from p3d_gen.report.page import Figure, PageSection, Table
from p3d_gen.report.svg import direction_map, edges_of, every, histogram, use_bars
from p3d_gen.run.store import RunFolder

Samples = Sequence[dict[str, Any]]
_Columns = dict[str, tuple[Callable[[Samples], Array], str]]


def _column(samples: Samples, name: str) -> Array:
    return np.array([each[name] for each in samples], dtype=np.float64)


def _box_px(samples: Samples) -> Array:
    """Return the longer side of every sample's box."""
    boxes = _column(samples, "bbox_xyxy")
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(axis=1))


def _degrees(samples: Samples, name: str) -> Array:
    return np.degrees(_column(samples, name))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _spread(values: Array) -> str:
    mean = round(float(values.mean()), 1) + 0.0  # no -0.0
    return f"{mean:.1f} ± {values.std():.1f}"


def _multiple(ratio: float) -> str:
    return "–" if np.isnan(ratio) else f"× {ratio:.2f}"


def _range(values: Array) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100]).tolist()
    return f"{low:.4g} / {middle:.4g} / {high:.4g}"


def _histograms(labels: SampleRows, columns: _Columns) -> tuple[Figure, ...]:
    """Return a figure of histograms per category; all categories have the same bins, to be compared.

    columns: name -> the function that returns the values of samples, and their unit.
    """
    values = {name: {category: of(labels[category]) for category in labels} for name, (of, _) in columns.items()}
    edges = {name: edges_of(np.concatenate(list(values[name].values())), unit) for name, (_, unit) in columns.items()}
    return tuple(
        Figure(
            title=category,
            charts=tuple(
                (name, histogram(f"{category}: {name}", values[name][category], edges[name], unit))
                for name, (_, unit) in columns.items()
            ),
        )
        for category in labels
    )


def directions_section(run: RunFolder, labels: SampleRows) -> PageSection:
    """Return the section on the directions of the cameras and their evenness."""
    figures, rows = [], []
    for category, samples in labels.items():
        azimuth, elevation = _column(samples, "azimuth_rad"), _column(samples, "elevation_rad")
        step = every(len(samples))
        shown = f"{len(samples)} samples" + (f", one of {step} shown" if step > 1 else "")
        title = f"{category}: camera directions"
        figures.append(Figure(title=category, charts=((shown, direction_map(title, azimuth, elevation)),)))
        even = evenness(run.manifest, run.inventory.definition(category), azimuth, elevation)
        hit = f"{even.hit} of {even.cells} ({_percent(even.hit / even.cells)})"
        rows.append((category, len(samples), hit, _multiple(even.emptiest), _multiple(even.fullest)))
    return PageSection(
        title="Camera directions",
        text="Each dot is a camera that looks at the object: azimuth across, elevation up, on an equal-area map. At "
        "azimuth 0° it sees the object's front, at 90° its left side. The table counts samples in cells of equal area, "
        "each of which would hold 10 if they were spread over the whole sphere. Emptiest and fullest: a cell's samples "
        "as a multiple of the number that the manifest's distribution expects, among cells that expect 5 or more.",
        figures=tuple(figures),
        tables=(
            Table(
                caption="Coverage of equal-area cells",
                header=("category", "samples", "cells hit", "emptiest", "fullest"),
                rows=tuple(rows),
                numbers=range(1, 5),
            ),
        ),
    )


def angles_section(labels: SampleRows) -> PageSection:
    """Return the section on the three angles of the viewpoints."""
    angles = ("azimuth", "elevation", "theta")
    columns: _Columns = {name: (functools.partial(_degrees, name=f"{name}_rad"), "°") for name in angles}
    rows = tuple(
        (category, *(_spread(_degrees(samples, f"{name}_rad")) for name in angles[1:]))
        for category, samples in labels.items()
    )
    return PageSection(
        title="Angles",
        text="Azimuth, elevation and in-plane rotation theta (positive turns the content counter-clockwise), degrees.",
        figures=_histograms(labels, columns),
        tables=(
            Table(
                caption="Mean ± standard deviation, degrees",
                header=("category", "elevation", "theta"),
                rows=rows,
                numbers=range(1, 3),
            ),
        ),
    )


def picture_section(labels: SampleRows) -> PageSection:
    """Return the section on distance, size and visible share of the object."""
    columns: _Columns = {
        "distance, box diagonals": (functools.partial(_column, name="distance"), ""),
        "longer side of the visible box, px": (_box_px, ""),
        "visible share of the silhouette": (functools.partial(_column, name="visible_share"), ""),
    }
    rows = tuple(
        (category, *(_range(of(samples)) for of, _ in columns.values())) for category, samples in labels.items()
    )
    return PageSection(
        title="Object in the picture",
        text="The distance of the object, its size in the picture, and the share of it that neither the frame nor an "
        "occluder hides.",
        figures=_histograms(labels, columns),
        tables=(
            Table(
                caption="Least / median / most",
                header=("category", "distance", "box, px", "visible share"),
                rows=rows,
                numbers=range(1, 4),
            ),
        ),
    )


def masks_section(labels: SampleRows) -> PageSection:
    """Return the section on the agreement of the stored poses with the rendered masks."""
    of = functools.partial(_column, name="mask_iou")
    rows = tuple(
        (category, *(f"{value:.4f}" for value in np.percentile(of(samples), [0, 1, 50]).tolist()))
        for category, samples in labels.items()
    )
    return PageSection(
        title="Poses against masks",
        text="Intersection over union of each rendered mask and the mesh projected by the stored pose. Samples below "
        f"{MIN_MASK_IOU} are refused.",
        figures=_histograms(labels, {"mask IoU": (of, "")}),
        tables=(
            Table(
                caption="Mask IoU",
                header=("category", "worst", "1st percentile", "median"),
                rows=rows,
                numbers=range(1, 4),
            ),
        ),
    )


def survival_section(labels: SampleRows) -> PageSection:
    """Return the section on how well the stylized pictures still show the labelled poses; there is at least one."""
    stylized = {category: [each for each in samples if "survival" in each] for category, samples in labels.items()}
    labels = {category: samples for category, samples in stylized.items() if samples}
    names = {"label survival": "survival", "edge precision": "edge_precision", "edge recall": "edge_recall"}
    names["silhouette agreement"] = "silhouette"
    columns: _Columns = {shown: (functools.partial(_column, name=name), "") for shown, name in names.items()}
    rows = tuple(
        (category, *(_range(of(samples)) for of, _ in columns.values())) for category, samples in labels.items()
    )
    return PageSection(
        title="Label survival",
        text="A score from 0 to 1 that says how well each stylized picture still shows the labelled pose. It is the "
        "agreement of its edges with those of the model's shape at that pose, within the silhouette and along it.",
        figures=_histograms(labels, {"label survival": columns["label survival"]}),
        tables=(
            Table(
                caption="Label survival, least / median / most",
                header=("category", *columns),
                rows=rows,
                numbers=range(1, 5),
            ),
        ),
    )


def _uses(run: RunFolder, labels: SampleRows, colours: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of uses by kind and id, for all assets of the run; kinds without a choice are left out."""
    inventory = run.inventory
    everything = [each for samples in labels.values() for each in samples]
    kinds = {
        **{f"CAD models: {c}": ("cad_id", labels[c], [cad.id for cad in inventory.cads[c]]) for c in labels},
        "textures": ("texture_id", everything, [asset.id for asset in inventory.textures]),
        "environment maps": ("hdri_id", everything, [asset.id for asset in inventory.hdris]),
        "backgrounds": ("background_id", everything, [asset.id for asset in inventory.backgrounds]),
        "colours": ("colour", everything, list(colours)),
    }
    counts = {}
    for kind, (name, samples, offered) in kinds.items():
        used = Counter(each[name] for each in samples)
        counts[kind] = {asset: used[asset] for asset in offered}
    return {kind: uses for kind, uses in counts.items() if uses}


def assets_section(run: RunFolder, labels: SampleRows, colours: Sequence[str]) -> PageSection:
    """Return the section on the number of uses of each asset and colour."""
    uses = _uses(run, labels, colours)
    rows = []
    for kind, counts in uses.items():
        ranked = sorted(counts, key=lambda asset: counts[asset])
        unused = sum(count == 0 for count in counts.values())
        rows.append((kind, len(counts), unused, _range(np.array(list(counts.values()))), ranked[-1], ranked[0]))
    figures = tuple(
        Figure(title=kind, charts=(("samples", use_bars(f"{kind}: number of uses of each", list(counts.values()))),))
        for kind, counts in uses.items()
    )
    return PageSection(
        title="Assets",
        text="The number of uses of each asset of the run's sources in the samples of this report.",
        figures=figures,
        tables=(
            Table(
                caption="Uses of one asset",
                header=("kind", "offered", "never used", "least / median / most", "most used", "least used"),
                rows=tuple(rows),
                numbers=range(1, 4),
            ),
        ),
    )
