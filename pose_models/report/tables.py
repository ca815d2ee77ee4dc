"""Tables in the papers' form, and the same numbers as text, Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pose_models.metrics.accuracy import PoseMetrics
from pose_models.metrics.bootstrap import Intervals
from pose_models.metrics.groups import Grouped, Mean

if TYPE_CHECKING:
    import rich.table

NO_VALUE = "-"
_NO_SUBSET = "(none)"
# Field of PoseMetrics, heading, factor to the unit that is printed.
FIGURES = (("acc_pi_6", "Acc pi/6", 100.0), ("acc_pi_18", "Acc pi/18", 100.0), ("median_deg", "MedErr", 1.0))
_UNITS = {"Acc pi/6": "%", "Acc pi/18": "%", "MedErr": "degrees"}
_MEANS: dict[Mean, str] = {
    "pooled": "all images pooled",
    "weighted": "groups weighted by images",
    "unweighted": "groups weighted equally",
}
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the latter are their wide forms
_MARKDOWN = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {sign: f"\\{sign}" for sign in "\\`*|~"})
# What opens a picture, ends the text of a link, or stresses a word; brackets alone are those of intervals.
_LINK = re.compile(r"!(?=\[)|\](?=[\[(:])|(?<!\w)_|_(?!\w)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "°": r"$^\circ$",
}


@dataclass(frozen=True, kw_only=True, repr=False)
class Table:
    """Cells as they are printed; the first column names the row. Each row is as long as the header, cells are one line,
    else ValueError."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        """Refuse what the formats could not hold."""
        for row in (self.header, *self.rows):
            if len(row) != len(self.header):
                raise ValueError(f"row {row} of {self.title!r} has {len(row)} cells, the header {len(self.header)}")
            if any(len(cell.splitlines()) > 1 for cell in row):
                raise ValueError(f"row {row} of {self.title!r} holds a line break")

    def __repr__(self) -> str:
        """Return the table as text."""
        return as_text(self)

    def _repr_markdown_(self) -> str:
        return as_markdown(self)


def rich_table(table: Table) -> rich.table.Table:
    """Make the table for a console of rich: numbers to the right."""
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(title=Text(table.title), title_justify="left")
    for i, heading in enumerate(table.header):
        shown.add_column(Text(heading), justify="right" if i else "left", no_wrap=not i, overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(cell) for cell in row))
    return shown


def as_text(table: Table) -> str:
    """Write the table in box-drawing characters under its title, as wide as it needs to be."""
    from rich.console import Console

    file, shown = io.StringIO(), rich_table(table)
    shown.title = None  # it would be wrapped to the table's width
    width = max(sum(map(len, row)) for row in (table.header, *table.rows)) * len(table.header) + 80
    Console(file=file, width=width, color_system=None).print(shown)
    lines = [table.title, *file.getvalue().splitlines()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def plain_markdown(text: str) -> str:
    """Return the text as Markdown that shows it as it is: without tags, links, pictures, code or emphasis."""
    return _LINK.sub(r"\\\g<0>", " ".join(text.splitlines()).translate(_MARKDOWN))


def as_markdown(table: Table) -> str:
    """Write the table in GitHub's Markdown, the title in bold above it."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(map(plain_markdown, cells)) + " |"

    rule = "|" + "|".join([" --- ", *[" ---: "] * (len(table.header) - 1)]) + "|"
    return (
        "\n".join([f"**{plain_markdown(table.title)}**", "", line(table.header), rule, *map(line, table.rows)]) + "\n"
    )


def _inert(cell: Any) -> Any:
    """Return a cell of a CSV file, with an apostrophe before a text that a spreadsheet would compute."""
    if not isinstance(cell, str) or not cell.lstrip().startswith(_FORMULA) or cell == NO_VALUE:
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Write rows as RFC 4180 has them, except that lines end in a line feed. Texts that begin as formulas do, and are
    not numbers, have an apostrophe before them."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(map(_inert, row) for row in rows)
    return file.getvalue()


def as_csv(table: Table) -> str:
    """Write the header and rows as `csv_text` does; the title is left out."""
    return csv_text([table.header, *table.rows])


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)


def as_latex(table: Table) -> str:
    """Write a `table` environment with the title as caption; needs \\usepackage{booktabs}."""

    def line(cells: Sequence[str]) -> str:
        return "    " + " & ".join(map(_latex, cells)) + r" \\"

    head = [r"\begin{table}", r"  \centering", rf"  \caption{{{_latex(table.title)}}}"]
    columns = "l" + "r" * (len(table.header) - 1)
    body = [rf"  \begin{{tabular}}{{{columns}}}", r"    \toprule", line(table.header), r"    \midrule"]
    body += [*map(line, table.rows), r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(head + body) + "\n"


def _cell(metrics: PoseMetrics | None, field: str, factor: float) -> str:
    return NO_VALUE if metrics is None else f"{factor * getattr(metrics, field):.1f}"


def overview(rows: Mapping[str, PoseMetrics], title: str, intervals: Mapping[str, Intervals] | None = None) -> Table:
    """Make a table of one row a method: Acc pi/6, Acc pi/18, median error, images.

    With `intervals` their ends stand next to the value, in the rows that have some.
    """
    header = ("", *(f"{name} ({_UNITS[name]})" for _, name, _ in FIGURES), "images")

    def cell(row: str, field: str, factor: float) -> str:
        value = _cell(rows[row], field, factor)
        if intervals is None or row not in intervals:
            return value
        low, high = getattr(intervals[row], field)
        return f"{value} [{factor * low:.1f}, {factor * high:.1f}]"

    body = ((row, *(cell(row, field, factor) for field, _, factor in FIGURES), str(rows[row].n)) for row in rows)
    return Table(title=title, header=header, rows=tuple(body))


def paper_tables(
    methods: Mapping[str, Grouped[PoseMetrics]],
    title: str,
    *,
    mean: Mean = "pooled",
) -> list[Table]:
    """Make one table a figure: Acc pi/6, Acc pi/18 and median error.

    Rows are methods. Columns are groups (categories, or parts of a benchmark) in alphabetical order, and their mean;
    the title says which mean. A cell is "-" if a method lacks the group.
    """
    groups = sorted({name for row in methods.values() for name in row.groups})
    header = ("", *(name or _NO_SUBSET for name in groups), "mean")
    tables = []
    for field, figure, factor in FIGURES:
        body = []
        for name, row in methods.items():
            cells = [row.groups.get(group) for group in groups] + [row.mean(mean)]
            body.append((name, *(_cell(cell, field, factor) for cell in cells)))
        whole = f"{title}: {figure} ({_UNITS[figure]}); mean: {_MEANS[mean]}"
        tables.append(Table(title=whole, header=header, rows=tuple(body)))
    return tables


def group_table(row: Grouped[PoseMetrics], title: str, intervals: Grouped[Intervals] | None = None) -> Table:
    """Make the table of one method: rows are groups and the three means, columns the figures, with their intervals,
    if any."""
    means: tuple[Mean, ...] = ("pooled", "weighted", "unweighted")
    named = {name or _NO_SUBSET: metrics for name, metrics in row.groups.items()}
    named |= {f"mean: {_MEANS[which]}": row.mean(which) for which in means}
    if intervals is None:
        return overview(named, title)
    ends = {name or _NO_SUBSET: each for name, each in intervals.groups.items()}
    ends |= {f"mean: {_MEANS[which]}": intervals.mean(which) for which in means}
    return overview(named, title, ends)


def transposed(table: Table) -> Table:
    """Turn rows into columns: for many groups and few methods."""
    turned = tuple(zip(table.header, *table.rows, strict=True))
    return Table(title=table.title, header=turned[0], rows=turned[1:])
