"""The folder that an evaluation leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from p3d_gen.core.codecs import encode_png
from p3d_gen.core.outputs import check_outputs
from p3d_gen.core.types import Picture
from p3d_gen.run.files import write_bytes, write_json
from pose_models.ledger import LEDGER_FILE, forget, record
from pose_models.metrics.facing import FACINGS
from pose_models.metrics.groups import Mean
from pose_models.metrics.summary import MODEL, Rows, Summary
from pose_models.prediction import Prediction, is_predictions, write_predictions
from pose_models.report.cases import Case, case_sheet, worst_and_typical
from pose_models.report.curves import risk_coverage_figure
from pose_models.report.draw import rendered
from pose_models.report.sphere import sphere_figure, sphere_map
from pose_models.report.tables import (
    Table,
    as_csv,
    as_latex,
    as_markdown,
    as_text,
    group_table,
    overview,
    paper_tables,
    transposed,
)

CASES = 8
_MOST_COLUMNS = 16
_PREDICTIONS, _SUMMARY = "predictions.jsonl", "summary.json"
_FORMATS = {"txt": as_text, "md": as_markdown, "tex": as_latex}
_PICTURES = ("sphere", "risk_coverage", "cases")
_SUFFIXES = ("acc_pi_6", "acc_pi_18", "median")


def _papers(rows: Rows, title: str, mean: Mean, prefix: str) -> dict[str, Table]:
    tables = paper_tables(rows, title, mean=mean)
    return {
        f"{prefix}_{suffix}": table if len(table.header) <= _MOST_COLUMNS else transposed(table)
        for suffix, table in zip(_SUFFIXES, tables, strict=True)
    }


def summary_tables(result: Summary, title: str, mean: Mean = "pooled") -> dict[str, Table]:
    """Make every table of an evaluation, by its file's name.

    The overview with intervals; the model by category, by the side that is seen and, if there are some, by part of the
    benchmark; and the papers' tables, a figure each, of all rows. The groups become rows if they would be more than 16
    columns.
    """
    tables = {"overview": overview(result.rows, title, {k: v.pooled for k, v in result.intervals.items()})}
    tables["category"] = group_table(result.per_category[MODEL], f"{title}: by category", result.intervals[MODEL])
    seen = result.per_facing[MODEL].groups
    sides = {name: seen[name] for name in FACINGS if name in seen}
    tables["facing"] = overview(sides, f"{title}: by the side that is seen", result.facing_intervals[MODEL].groups)
    tables |= _papers(result.per_category, title, mean, "category")
    if result.per_subset:
        ends = result.subset_intervals[MODEL]
        tables["subset"] = group_table(result.per_subset[MODEL], f"{title}: by subset", ends)
        tables |= _papers(result.per_subset, title, mean, "subset")
    return tables


def write_tables(folder: Path, tables: dict[str, Table]) -> list[Path]:
    """Write tables.txt, tables.md and tables.tex with all tables, and tables/NAME.csv; returns the paths."""
    paths = {folder / f"tables.{name}": "\n".join(map(form, tables.values())) for name, form in _FORMATS.items()}
    paths |= {folder / "tables" / f"{name}.csv": as_csv(table) for name, table in tables.items()}
    for path, text in paths.items():
        write_bytes(path, text.encode())
    return list(paths)


def pictures(
    predictions: Sequence[Prediction],
    result: Summary,
    title: str,
    case_of: Callable[[Prediction], Case] | None,
) -> dict[str, Picture]:
    """Draw the pictures by name: sphere, risk_coverage and, if `case_of` is given, cases.

    `case_of` is called only for the shown images, so it may read them again.
    """
    risks = {f"errors of {name} and more": curve for name, curve in result.risk.items()}
    cells = sphere_map(predictions, result.errors_rad)
    drawn = {
        "sphere": rendered(sphere_figure(cells, f"{title}: error by viewing direction")),
        "risk_coverage": rendered(risk_coverage_figure(risks, f"{title}: risk and coverage")),
    }
    if case_of is not None:
        worst, typical = worst_and_typical(result.errors_rad, CASES)
        names = f"{title}: the greatest errors", f"{title}: typical, around the median error"
        sections = zip(names, (worst, typical), strict=True)
        drawn["cases"] = case_sheet({name: [case_of(predictions[i]) for i in shown] for name, shown in sections})
    return drawn


def check_folder(folder: Path) -> None:
    """Raise RunError if the files of a report would overwrite others than those of an earlier report."""
    tables = (f"tables.{suffix}" for suffix in _FORMATS)
    names = (_PREDICTIONS, _SUMMARY, LEDGER_FILE, *tables, *(f"{name}.png" for name in _PICTURES))
    check_outputs((folder / name for name in names), [], is_own=is_predictions(folder / _PREDICTIONS))


def write_report(
    folder: Path,
    predictions: Sequence[Prediction],
    result: Summary,
    title: str,
    *,
    mean: Mean = "pooled",
    case_of: Callable[[Prediction], Case] | None = None,
) -> list[Path]:
    """Write predictions.jsonl, summary.json, their checksums, tables and pictures into a folder; returns the paths.

    `result` is the `summary` of `predictions`. mean: of the papers' tables. case_of: image, poses and box of a
    prediction, for the sheet of the worst and typical ones, which is left out without it. RunError: see `check_folder`.
    """
    check_folder(folder)
    lines, figures = folder / _PREDICTIONS, folder / _SUMMARY
    forget(folder, lines.name, figures.name)
    write_predictions(lines, predictions)
    write_json(figures, {**result.as_dict(), "checksums": LEDGER_FILE})
    record(folder, (lines.name, figures.name))
    paths = [lines, figures, folder / LEDGER_FILE, *write_tables(folder, summary_tables(result, title, mean))]
    for name, picture in pictures(predictions, result, title, case_of).items():
        paths.append(folder / f"{name}.png")
        write_bytes(paths[-1], encode_png(picture))
    return paths
