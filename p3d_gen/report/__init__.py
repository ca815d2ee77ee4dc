"""The report of a run: one HTML page without external resources, made from the run folder alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from p3d_gen.report.asked import manifest_section
from p3d_gen.report.collect import Ledgers, SampleRows, furthest, read_ledgers, read_samples
from p3d_gen.report.gallery import sample_gallery
from p3d_gen.report.ledgers import counts_section, making_section, timings_section
from p3d_gen.report.looks import looks_section
from p3d_gen.report.page import run_page
from p3d_gen.report.samples import (
    angles_section,
    assets_section,
    directions_section,
    masks_section,
    picture_section,
    survival_section,
)
from p3d_gen.run.files import write_bytes
from p3d_gen.run.store import RunFolder
from p3d_gen.stylize.stylization import Stylization, open_stylization

_MADE = {"pack": "packed", "stylize": "stylized", "render": "rendered"}


def _lead(run: RunFolder, stylization: Stylization, ledgers: Ledgers, labels: SampleRows) -> str:
    """Return the progress of the run in a sentence or two."""
    counts = Counter(furthest(ledgers, each["shard"]) for samples in labels.values() for each in samples)
    made = ", ".join(f"{counts[command]} {name}" for command, name in _MADE.items() if counts[command])
    done, planned = len(ledgers["pack"]), len(run.all_shards())
    return (
        f"{made} samples: {', '.join(labels)}. Manifest {run.manifest_hash[:12]}."
        + (f" Stylization {stylization.name}." if stylization.name else "")
        + (f" The run is not finished: {done} of {planned} shards are packed." if done < planned else "")
    )


def write_report(run: RunFolder, name: str = "", count: int = 120, out: Path | None = None) -> Path:
    """Write RUN/report.html, or report-NAME.html of a named stylization, or `out`; return its path.

    It shows every finished shard as the last stage left it. count: number of samples in the gallery.
    Raise RunError if the run holds no finished sample.
    """
    stylization = open_stylization(run, name)
    ledgers = read_ledgers(run, stylization)
    labels = read_samples(run, stylization, ledgers)
    stylized = any("survival" in each for samples in labels.values() for each in samples)
    colours = (stylization.settings if stylized else run.manifest.stylize).colours
    sections = (
        counts_section(run, ledgers),
        directions_section(run, labels),
        angles_section(labels),
        picture_section(labels),
        looks_section(run, stylization, ledgers, labels, colours),
        assets_section(run, labels, colours),
        masks_section(labels),
        *((survival_section(labels),) if stylized else ()),
        timings_section(run, ledgers),
        making_section(ledgers),
        manifest_section(run, stylization),
    )
    path = out or stylization.file(run, "report", ".html")
    shown = sample_gallery(run, stylization, ledgers, labels, count)
    title = f"Report of {run.root.resolve().name}"
    write_bytes(path, run_page(title, _lead(run, stylization, ledgers, labels), shown, sections).encode())
    return path
