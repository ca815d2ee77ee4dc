"""The table of a protocol: the printed figures next to the measured ones, over the seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from p3d_gen.run.files import read_record, write_bytes, write_json
from pose_models.metrics.bootstrap import over_seeds
from pose_models.metrics.summary import MODEL
from pose_models.protocols.manifest import Number, Row
from pose_models.protocols.planner import STEPS, ProtocolPlan, output
from pose_models.report.tables import FIGURES, NO_VALUE, Table, as_markdown, as_text, csv_text

SUMMARY_FILE, TABLE = "summary.json", "table"


@dataclass(frozen=True, kw_only=True)
class ProtocolFigure:
    """One figure of one cell, in percent or degrees.

    group: a part of the benchmark, "" for all images. paper: as printed, its ends where that is a range, None if it is
    not known. mean, std: measured over the seeds, None if nothing was, or only one seed. images: of one seed.
    """

    setting: str
    column: str
    row: str
    group: str
    figure: str
    paper: Number | None
    mean: float | None
    std: float | None
    seeds: int
    images: int
    quoted: bool


def _measured(plan: ProtocolPlan, out: Path, row: str, setting: str, column: str) -> list[dict[str, dict[str, float]]]:
    """Read the model's metrics by group of every seed that is finished."""
    figures_of_seeds = []
    for cell in plan.cells:
        path = output(cell.job, out / STEPS) / SUMMARY_FILE
        if (cell.row, cell.setting, cell.column) == (row, setting, column) and path.is_file():
            figures = read_record(path, "remove the folder above it, and the step is run again")
            parts = figures["per_subset"].get(MODEL, {"groups": {}})["groups"]
            figures_of_seeds.append({"": figures["rows"][MODEL], **parts})
    return figures_of_seeds


def _figures(plan: ProtocolPlan, out: Path, row: Row, setting: str, column: str) -> Iterator[ProtocolFigure]:
    seeds = _measured(plan, out, row.name, setting, column)
    printed = {each.group: each for each in row.published if each.column == column}
    for group in ("", *plan.protocol.groups):
        runs = [seed[group] for seed in seeds if group in seed]
        spread = over_seeds(runs) if len(runs) > 1 else {}
        for name, _, factor in FIGURES:
            yield ProtocolFigure(
                setting=setting,
                column=column,
                row=row.name,
                group=group,
                figure=name,
                paper=getattr(printed[group], name) if group in printed else None,
                mean=None if not runs else factor * sum(run[name] for run in runs) / len(runs),
                std=factor * spread[name].std if spread else None,
                seeds=len(runs),
                images=int(runs[0]["n"]) if runs else 0,
                quoted=bool(row.quoted),
            )


def protocol_figures(plan: ProtocolPlan, out: Path) -> list[ProtocolFigure]:
    """Return every figure of a plan's rows, settings and columns that the paper printed or the run folder `out`
    holds."""
    return [
        figure
        for setting in plan.settings
        for column in plan.columns
        for row in plan.rows
        if column in plan.protocol.columns_of(row)
        for figure in _figures(plan, out, row, setting, column)
    ]


def _printed(paper: Number | None) -> str:
    if paper is None:
        return NO_VALUE
    return f"{paper:.1f}" if isinstance(paper, float) else f"{paper[0]:.1f} to {paper[1]:.1f}"


def _cells(figure: ProtocolFigure) -> tuple[str, str]:
    """Return the paper's figure and the measured one, as they are written."""
    if figure.quoted:
        return _printed(figure.paper), "quoted"
    here = NO_VALUE if figure.mean is None else f"{figure.mean:.1f}"
    return _printed(figure.paper), here if figure.std is None else f"{here} ± {figure.std:.1f}"


def protocol_tables(plan: ProtocolPlan, figures: Sequence[ProtocolFigure]) -> list[Table]:
    """Make one table for each setting, and, if the benchmark has parts, one for each accuracy by part."""
    names = {name: heading for name, heading, _ in FIGURES}
    tables = []
    for setting in plan.settings:
        here = [figure for figure in figures if figure.setting == setting]
        title = f"{plan.protocol.title}; {setting}"
        whole = [figure for figure in here if figure.group == ""]
        tables.append(_table(f"{title}: %, degrees", whole, names, "figure", counted=True))
        groups = {name: name for name in plan.protocol.groups}
        for name in ("acc_pi_6", "acc_pi_18") if groups else ():
            parts = [figure for figure in here if figure.group and figure.figure == name]
            tables.append(_table(f"{title}: {names[name]} (%) by part", parts, groups, "group", counted=False))
    return tables


def _table(
    title: str, figures: Sequence[ProtocolFigure], headings: dict[str, str], field: str, *, counted: bool
) -> Table:
    """Make a table of protocol rows by column. For each heading, a value of the figures' `field`, it holds the paper's
    figure and ours."""
    header = ["", *(f"{name} {which}" for name in headings.values() for which in ("paper", "here"))]
    lines: dict[tuple[str, str], dict[str, ProtocolFigure]] = {}
    for figure in figures:
        lines.setdefault((figure.column, figure.row), {})[getattr(figure, field)] = figure
    rows = []
    for (column, row), line in lines.items():
        first = next(iter(line.values()))
        cells = [cell for name in headings for cell in _cells(line[name])]
        counts = [str(count) if count else NO_VALUE for count in (first.images, first.seeds)] if counted else []
        rows.append((f"{row}, {column}" if column else row, *cells, *counts))
    return Table(title=title, header=(*header, *(("images", "seeds") if counted else ())), rows=tuple(rows))


def notes(plan: ProtocolPlan) -> list[str]:
    """Return the lines below the tables: the place of the printed figures, the protocol's notes, and why rows are
    quoted."""
    paper = plan.protocol.paper
    first = [] if paper is None else [f"paper: {paper.name}, {paper.table}"]
    return [*first, *plan.protocol.notes] + [f"{row.name}: {row.quoted}" for row in plan.rows if row.quoted]


def write_protocol(out: Path, plan: ProtocolPlan) -> list[Table]:
    """Write table.txt and table.md with all tables, table.csv and table.json with one figure a line or object.

    Returns the tables.
    """
    figures = protocol_figures(plan, out)
    tables = protocol_tables(plan, figures)
    below = notes(plan)
    known = [asdict(figure) for figure in figures if figure.paper is not None or figure.mean is not None]
    lines = [list(ProtocolFigure.__dataclass_fields__)]
    for figure in known:
        paper = figure["paper"]
        ends = " to ".join(map(str, paper)) if isinstance(paper, tuple) else paper
        lines.append(list({**figure, "paper": ends}.values()))
    text = "\n".join([*map(as_text, tables), *below]) + "\n"
    marked = "\n".join([*map(as_markdown, tables), *(f"- {line}" for line in below)]) + "\n"
    write_bytes(out / f"{TABLE}.txt", text.encode())
    write_bytes(out / f"{TABLE}.md", marked.encode())
    write_bytes(out / f"{TABLE}.csv", csv_text(lines).encode())
    write_json(out / f"{TABLE}.json", {"title": plan.protocol.title, "figures": known})
    return tables
