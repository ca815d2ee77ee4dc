"""The same numbers as text, Markdown, CSV and LaTeX."""

import csv
import html
import io
import re

import pytest
import torch

from pose_models.metrics import Grouped, PoseMetrics, summary
from pose_models.report.tables import (
    Table,
    as_csv,
    as_latex,
    as_markdown,
    as_text,
    csv_text,
    group_table,
    overview,
    paper_tables,
    transposed,
)
from pose_models.report.write import summary_tables
from tests.helpers.predictions import made_predictions

torch.set_num_threads(1)

AWKWARD = Table(
    title="50% of A_B & C [bold]x[/bold], $5 #1",
    header=("", "a|b", "p_q", "{x}^2"),
    rows=(
        ('say "hi", you', "1.5", "93.0 ± 0.4", "-"),
        ("back\\slash ~ & % $ #", "<2>", "[a, b]", "8.0°"),
        ("[red]tag[/red]", "", "100.0", "86.3 [82.0, 90.0]"),
        ("=1+cmd()", "<img src=x onerror=alert(1)>", "![a](http://b/c.png)", "-1.5"),
        ("@SUM(A1)", "+1+cmd|' /C calc'!A0", "`code` *em* _em_ a_b [x]: <http://b>", "-x"),
    ),
)
LATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"$\pm$": "±",
    r"$^\circ$": "°",
    **{f"\\{character}": character for character in "&%$#_{}"},
}


def parse_text(text):
    title, *lines = text.splitlines()
    cells = [re.split("[│┃]", line)[1:-1] for line in lines if line[0] in "│┃"]
    return title, [[cell.strip() for cell in row] for row in cells]


def shown(text):
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text))


def parse_markdown(text):
    title, blank, *lines = text.splitlines()
    assert blank == ""
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert all(re.fullmatch(" -+:? ", rule) for rule in cells.pop(1))
    return shown(title.removeprefix("**").removesuffix("**")), [[shown(cell.strip()) for cell in row] for row in cells]


def parse_csv(text):
    rows = list(csv.reader(io.StringIO(text)))
    return None, [[re.sub(r"^'(?=\s*[-=+@])", "", cell) for cell in row] for row in rows]


def parse_latex(text):
    def plain(cell):
        pattern = "|".join(re.escape(name) for name in LATEX)
        return re.sub(pattern, lambda found: LATEX[found[0]], cell).strip()

    title = re.search(r"\\caption\{(.*)\}\n", text)[1]
    body = re.search(r"\\toprule\n(.*)\\bottomrule", text, re.DOTALL)[1].replace("    \\midrule\n", "")
    rows = [line.strip().removesuffix(r"\\") for line in body.strip().splitlines()]
    columns = re.search(r"\\begin\{tabular\}\{(l?r*)\}", text)[1]
    cells = [[plain(cell) for cell in re.split(r"(?<!\\)&", row)] for row in rows]
    assert all(len(row) == len(columns) for row in cells)
    return plain(title), cells


FORMATS = [(as_text, parse_text), (as_markdown, parse_markdown), (as_csv, parse_csv), (as_latex, parse_latex)]


def made_tables():
    found = summary(made_predictions(60, subsets=("snow", "fog")), resamples=20)
    return [AWKWARD, transposed(AWKWARD), *summary_tables(found, "made").values()]


@pytest.mark.parametrize(("write", "parse"), FORMATS, ids=lambda f: f.__name__)
def test_every_format_gives_back_every_cell(write, parse):
    for table in made_tables():
        title, cells = parse(write(table))
        assert title in (None, table.title)
        assert cells == [list(table.header), *map(list, table.rows)]


def test_no_cell_is_computed_by_a_spreadsheet_or_taken_for_markup():
    for row in csv.reader(io.StringIO(as_csv(AWKWARD))):
        for cell in row:
            assert cell in ("-", "-1.5") or not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert csv_text([("n", "x"), (-3, -1.5), ("-3", "\uff1d1"), (None, " =1")]) == "n,x\n-3,-1.5\n-3,'\uff1d1\n,' =1\n"
    text = as_markdown(AWKWARD)
    assert not re.search(r"<|(?<!\\)[`~]|(?<!\\)!\[|(?<!\\)\][(\[:]|(?<![\w\\])_", text)
    healthy = Table(
        title="shards:runs/a_b/c.tar val", header=("", "Acc pi/6 (%)"), rows=(("my_car", "8.0 [7.5, 9.1]"),)
    )
    assert as_markdown(healthy).splitlines()[0] == f"**{healthy.title}**"
    assert as_markdown(healthy).splitlines()[-1] == "| my_car | 8.0 [7.5, 9.1] |"


def test_latex_has_no_bare_special_character():
    body = as_latex(AWKWARD).split(r"\toprule")[1]
    bare = re.sub(r"\\[&%$#_{}]|\$\\pm\$|\$\^\\circ\$|\\text[a-z]+\{\}|\\[a-z]+\{tabular\}|\\end\{table\}", "", body)
    assert not re.search(r"[%$#_~^{}<>]", bare)


def grouped(**accuracies):
    parts = {name: PoseMetrics(acc_pi_6=a, acc_pi_18=a / 2, median_deg=10 * a, n=10) for name, a in accuracies.items()}
    whole = PoseMetrics(acc_pi_6=0.5, acc_pi_18=0.25, median_deg=5.0, n=10 * len(parts))
    equal = PoseMetrics(acc_pi_6=0.4, acc_pi_18=0.2, median_deg=4.0, n=10 * len(parts))
    return Grouped(groups=parts, pooled=whole, weighted=whole, unweighted=equal)


def test_papers_tables_have_a_row_a_method_and_a_column_a_category():
    methods = {"NeMo": grouped(car=0.861, bus=0.9), "ours": grouped(car=0.9, boat=0.55)}
    accuracy, fine, median = paper_tables(methods, "PASCAL3D+")
    assert accuracy.header == ("", "boat", "bus", "car", "mean")
    assert accuracy.rows == (("NeMo", "-", "90.0", "86.1", "50.0"), ("ours", "55.0", "-", "90.0", "50.0"))
    assert fine.rows[0][3] == "43.0"
    assert median.rows[1] == ("ours", "5.5", "-", "9.0", "5.0")
    assert accuracy.title == "PASCAL3D+: Acc pi/6 (%); mean: all images pooled"
    other = paper_tables(methods, "PASCAL3D+", mean="unweighted")[0]
    assert other.header == accuracy.header
    assert other.rows[0] == ("NeMo", "-", "90.0", "86.1", "40.0")
    assert "weighted equally" in other.title


def test_images_without_subset_have_a_column_with_a_name():
    assert paper_tables({"a": grouped(**{"": 0.5, "fog": 0.4})}, "t")[0].header == ("", "(none)", "fog", "mean")


def test_overview_shows_intervals_where_there_are_some():
    found = summary(made_predictions(60), resamples=20)
    table = overview(found.rows, "t", {"model": found.intervals["model"].pooled})
    low, high = found.intervals["model"].pooled.acc_pi_6
    assert table.rows[0][1] == f"{100 * found.rows['model'].acc_pi_6:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    assert table.rows[-1] == ("chance: random rotation", "0.8", "0.0", "132.3", "60")


def test_group_table_ends_with_the_three_means():
    table = group_table(grouped(car=0.8, bus=0.6), "t")
    assert [row[0] for row in table.rows] == [
        "car",
        "bus",
        "mean: all images pooled",
        "mean: groups weighted by images",
        "mean: groups weighted equally",
    ]
    assert table.rows[-1][1:] == ("40.0", "20.0", "4.0", "20")


def test_many_groups_become_rows():
    few, many = (
        summary_tables(summary(made_predictions(60, subsets=[f"s{i:02d}" for i in range(count)]), resamples=5), "t")
        for count in (3, 19)
    )
    assert few["subset_median"].header == ("", "s00", "s01", "s02", "mean")
    assert many["subset_median"].header[:2] == ("", "model")
    assert [row[0] for row in many["subset_median"].rows[-2:]] == ["s18", "mean"]


def test_transposing_twice_is_the_same():
    assert transposed(transposed(AWKWARD)) == AWKWARD


@pytest.mark.parametrize(("row", "message"), [(("a",), "has 1 cells"), (("a", "b\nc"), "line break")])
def test_tables_that_cannot_be_written(row, message):
    with pytest.raises(ValueError, match=message):
        Table(title="t", header=("", "x"), rows=(row,))
