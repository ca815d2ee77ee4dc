"""The live page of an adaptation: one HTML file without external resources, from what the run folder holds."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from p3d_gen.report.page import Figure, PageSection, Table
from p3d_gen.report.svg import Line, line_chart, paired_histograms
from p3d_gen.run.files import write_bytes
from pose_models.report.runs import (
    QUIET_S,
    RUN_FILES,
    AdaptationRun,
    Entry,
    confidence_counts,
    curve,
    keys,
    read_run,
    run_folders,
    state,
)
from pose_models.report.vertices import VERTICES_FILE, write_vertices

PAGE_FILE = "live.html"
RELOAD_S = 5
_MOST_ROWS = 200
# Key of the history -> title, unit, whether the scale starts at zero, and what it means.
_CURVES: dict[str, tuple[str, str, bool, str]] = {
    "accepted_share": ("Accepted vertices", "%", True, "of those that a pose shows: their feature is similar enough"),
    "coverage": ("Coverage", "%", True, "of the vertices, those with an accepted feature"),
    "confidence_mean": ("Confidence", "", False, "mean cosine of images and rendered vertices"),
    "log_likelihood": ("Log-likelihood", "", False, "mean ln p(f | C) of what the poses show"),
    "images_passed": ("Images that count", "", True, "enough of their vertices are similar"),
    "bank_moves": ("Moves of the vertex features", "", True, "in an epoch"),
    "loss": ("Loss", "", False, "that the backbone learns from"),
    "contrastive": ("Contrastive term", "", False, "of the loss"),
    "clutter": ("Clutter term", "", False, "of the loss"),
    "domain": ("Domain term", "", False, "of the loss, before its weight"),
    "lr": ("Learning rate", "", True, "of the backbone's body"),
    "seconds": ("Time", " s", True, "of an epoch"),
}
_ACCURACIES = (("acc_pi_6", "Acc pi/6"), ("acc_pi_18", "Acc pi/18"))
_MEDIAN = "median_deg"
_WATCHING = "Labels of the target are used only for watching: the adaptation never sees them."


@dataclass(frozen=True, kw_only=True)
class Written:
    """A page that was written: its path, what each run has done, and whether all of them are finished."""

    path: Path
    notes: tuple[str, ...]
    finished: bool


def _cell(entry: dict[str, Any], name: str) -> str:
    """Write a value as in a table; an empty text if there is none."""
    value = entry.get(name, "")
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _progress(run: AdaptationRun) -> str:
    """Describe the progress of a run in words."""
    if not run.history:
        return "nothing done yet"
    planned = "" if run.planned is None else f" of {run.planned}"
    return f"{run.place} {run.span[1]:.0f}{planned}"


def _left(run: AdaptationRun, now_s: float) -> tuple[tuple[str, str], ...]:
    seconds = curve(run, "seconds")[1]
    if state(run, now_s) != "running" or run.planned is None or run.place != "epoch" or len(seconds) < 2:
        return ()
    each = float(seconds[-5:].mean())
    return (("time left", f"about {each * (run.planned - run.span[1]) / 60:.0f} min, {each:.0f} s an epoch"),)


def _run_section(run: AdaptationRun, now_s: float) -> PageSection:
    """Describe state, source, images and configuration."""
    categories = dict.fromkeys(category for category, _ in run.images)
    rows = [("state", state(run, now_s)), ("progress", _progress(run)), *_left(run, now_s)]
    rows += [("source model", run.source or "not recorded yet"), ("target images", str(sum(run.images.values())))]
    settings = ", ".join(f"{key} = {_cell(run.settings, key)}" for key in run.settings)
    rows += [("configuration", settings or "not recorded yet")]
    tables = [Table(caption="Run", header=("what", "value"), rows=tuple(rows))]
    if len(run.images) > 1:
        images = tuple((category, subset or "-", count) for (category, subset), count in run.images.items())
        header = ("category", "subset", "images")
        tables.append(Table(caption="Target images", header=header, rows=images, numbers=range(2, 3), folded=True))
    text = f"Adapted without labels to images of {', '.join(categories)}." if categories else "No image was read yet."
    return PageSection(title="Run", text=text, tables=tuple(tables))


def _accuracy_section(run: AdaptationRun) -> PageSection | None:
    """Draw the curves of watching; None if the run is not watched."""
    lines = [Line(name=name, x=x, y=y) for key, name in _ACCURACIES for x, y in [curve(run, key)] if len(x)]
    figures = []
    if lines:
        chart = line_chart("Accuracy", lines, run.place, "%", zero=True, x_range=run.span)
        figures.append(Figure(title="Accuracy", charts=(("share of the watched images", chart),)))
    x, y = curve(run, _MEDIAN)
    if len(x):
        chart = line_chart(
            "Median error", [Line(name="median error", x=x, y=y)], run.place, "°", zero=True, x_range=run.span
        )
        figures.append(Figure(title="Median error", charts=(("of the watched images", chart),)))
    return PageSection(title="Watched accuracy", text=_WATCHING, figures=tuple(figures)) if figures else None


def _confidence_figure(run: AdaptationRun) -> tuple[Figure, ...]:
    """Draw the histograms of the first and of the last place that have one."""
    histograms = [
        (entry[run.place], counts) for entry in run.history if (counts := confidence_counts(entry)) is not None
    ]
    if not histograms:
        return ()
    shown = {f"{run.place} {place}": counts for place, counts in (histograms[0], histograms[-1])}
    chart = paired_histograms("Confidence of the images", shown, "cosine")
    return (Figure(title="Confidence of the images", charts=(("images by their mean cosine", chart),)),)


def _curves_section(run: AdaptationRun) -> PageSection:
    """Draw a curve for each number of the history, the known ones first, and the histograms of confidence."""
    watched = {key for key, _ in _ACCURACIES} | {_MEDIAN}
    there = [key for key in keys(run) if key not in watched]
    figures, seldom = [], []
    for key in [key for key in _CURVES if key in there] + [key for key in there if key not in _CURVES]:
        title, unit, zero, meaning = _CURVES.get(key, (key.replace("_", " "), "", False, ""))
        x, y = curve(run, key)
        if run.place == "step" and len(x) <= run.rounds:
            seldom.append((title, ", ".join(f"{value:.4g}" for value in y)))
            continue
        chart = line_chart(title, [Line(name=title, x=x, y=y)], run.place, unit, zero=zero, x_range=run.span)
        figures.append(Figure(title=title, charts=((meaning, chart),)))
    at = next(
        (i + 1 for i, figure in enumerate(figures) if figure.title == _CURVES["confidence_mean"][0]), len(figures)
    )
    figures[at:at] = _confidence_figure(run)
    text = "Over the epochs; epoch 0 is the source model." if run.place == "epoch" else "Over the training steps."
    tables = (_history_table(run),) if run.history else ()
    if seldom:
        tables = (Table(caption="Numbers of each round", header=("what", "values"), rows=tuple(seldom)), *tables)
    return PageSection(
        title="Curves", text=text if run.history else "Nothing yet.", figures=tuple(figures), tables=tables
    )


def _history_table(run: AdaptationRun) -> Table:
    """List the history as numbers: all lines, or evenly chosen ones and the last."""
    step = -(-len(run.history) // _MOST_ROWS)
    shown: Sequence[Entry] = run.history[::-1][::step][::-1]
    names = [run.place, *(name for name in dict.fromkeys(key for entry in shown for key in entry) if name != run.place)]
    title = "All numbers" if step == 1 else f"All numbers, one {run.place} in {step}"
    rows = tuple(tuple(_cell(entry, name) for name in names) for entry in shown)
    return Table(caption=title, header=tuple(names), rows=rows, numbers=range(len(names)), folded=True)


def _vertices_section(run: AdaptationRun) -> PageSection | None:
    """Show the picture of robust vertices, which is written to the run folder too; None without a record of
    vertices."""
    path = write_vertices(run.folder, f"{run.folder.resolve().name}: which vertices are robust")
    if path is None:
        return None
    data = base64.b64encode(path.read_bytes()).decode()
    picture = Markup('<img alt="{}" src="data:image/png;base64,{}">').format("Acceptance of every vertex", data)
    figure = Figure(title="Vertices of the neural meshes", charts=(("by the source model and as adapted", picture),))
    text = (
        "A vertex is robust where its feature is recognised in the new domain as well. Each vertex counts by itself, "
        "even where the pose of the whole object is wrong; so many robust vertices do not prove that poses are right."
    )
    return PageSection(title="Robust vertices", text=text, figures=(figure,))


def _sections(run: AdaptationRun, now_s: float) -> list[PageSection]:
    parts = (_run_section(run, now_s), _accuracy_section(run), _curves_section(run), _vertices_section(run))
    return [part for part in parts if part is not None]


def _named(section: PageSection, name: str) -> PageSection:
    return PageSection(
        title=f"{name}: {section.title}", text=section.text, figures=section.figures, tables=section.tables
    )


def write_page(folder: Path, now_s: float, *, reload: bool) -> Written:
    """Write FOLDER/live.html, and vertices.png into each run that has a record of vertices.

    `now_s`: seconds since 1970; `reload`: whether the page reloads itself until the runs are finished.

    ValueError if the folder is not a run of an adaptation, or one of its files is damaged.
    """
    runs = [read_run(each) for each in run_folders(folder)]
    single = runs[0].folder == folder
    sections = [part if single else _named(part, run.folder.name) for run in runs for part in _sections(run, now_s)]
    notes = tuple(f"{run.folder.resolve().name}: {state(run, now_s)}, {_progress(run)}" for run in runs)
    finished = _ended(runs, now_s)
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pose_models.report", "."), PackageLoader("p3d_gen.report", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    fields: dict[str, Any] = {"title": f"Adaptation {folder.resolve().name}", "sections": sections}
    fields |= {"lead": "; ".join(notes) + ".", "reload_s": RELOAD_S if reload and not finished else 0}
    text = environment.get_template("adaptation.html.j2").render(fields)
    write_bytes(folder / PAGE_FILE, text.encode())
    return Written(path=folder / PAGE_FILE, notes=notes, finished=finished)


def _ended(runs: Sequence[AdaptationRun], now_s: float) -> bool:
    """Return whether nothing more is to come: a single run is finished, or several are and no other began since."""
    silent = now_s - max(run.news_s for run in runs)
    return all(run.finished for run in runs) and (len(runs) == 1 or silent >= QUIET_S)


def _signs(folder: Path, now_s: float) -> tuple[object, ...]:
    """Return a value that changes when the page does: sizes and times of the runs' files, and their minutes of
    silence."""
    signs = []
    for run in run_folders(folder):
        files = [path.stat() for path in (run / name for name in (*RUN_FILES, VERTICES_FILE)) if path.exists()]
        minutes = int((now_s - max(each.st_mtime for each in files)) // 60)
        signs.append((minutes, *((each.st_mtime_ns, each.st_size) for each in files)))
    return tuple(signs)


def watch(folder: Path, every_s: float) -> Iterator[Written]:
    """Write the page now and whenever the folder's runs have gone on, looking every `every_s` seconds, until they are
    finished; yields what was written. ValueError as `write_page`."""
    seen: tuple[object, ...] | None = None
    while True:
        now_s = time.time()
        signs = _signs(folder, now_s)
        if signs != seen:
            seen = signs
            written = write_page(folder, now_s, reload=True)
            yield written
            if written.finished:
                return
        time.sleep(every_s)
