"""The live page of an adaptation says what the run folder holds, on a page that needs nothing else."""

import functools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pose_models.cli import main
from pose_models.report.adaptation import watch, write_page
from pose_models.report.runs import read_history, read_run, run_folders, state
from tests.helpers.adaptation_runs import epoch, page_of, write_history, write_model, write_run

BIN = Path(sys.executable).parent / "pose-models"
HOSTILE = "<img src=x onerror=alert(1)>&amp;\"'"
LEFT, RIGHT, TOP, FLOOR = 44, 346, 8, 120


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "uda-box")


def points(d):
    return np.array(re.findall(r"([\d.]+) ([\d.]+)h0", d), dtype=float)


def table(page, name):
    return {row[0]: row[1] for row in page.tables[name][1:]}


def test_every_epoch_is_shown_in_every_curve(run):
    page = page_of(run)
    curves = "Accepted vertices", "Coverage", "Confidence", "Images that count", "Moves of the vertex features", "Loss"
    for name in (*curves, "Time", "Accuracy", "Median error"):
        for line in [kind for kind in page.charts[name] if kind.startswith("line")]:
            dots = page.charts[name][line.replace("line", "points")][0]
            shown = points(dots)
            assert len(shown) == (5 if name == "Loss" else 6)
            np.testing.assert_allclose(np.diff(shown[:, 0]), (RIGHT - LEFT) / 5, atol=0.11)
    rows = page.tables["All numbers"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "3", "4", "5"]
    assert [row[rows[0].index("loss")] for row in rows[1:]] == ["", "2.9", "2.8", "2.7", "2.6", "2.5"]


def test_curves_rise_where_their_numbers_do(run):
    page = page_of(run)
    rising = points(page.charts["Accepted vertices"]["points first"][0])
    assert (np.diff(rising[:, 1]) < 0).all()
    # from 0 % at the floor to 60 %, the round number above 45 %, at the top
    np.testing.assert_allclose(FLOOR - rising[:, 1], (FLOOR - TOP) * (0.2 + 0.05 * np.arange(6)) / 0.5, atol=0.1)
    falling = points(page.charts["Median error"]["points first"][0])
    assert (np.diff(falling[:, 1]) > 0).all()


def test_histograms_keep_their_counts(run):
    page = page_of(run)
    chart = page.charts["Confidence of the images"]
    entries = read_run(run).history
    first, last = ([entry[f"confidence_histogram_{i:02d}"] for i in range(10)] for entry in (entries[0], entries[-1]))
    assert sum(first) == sum(last) == 24
    bars = [float(h) for h in re.findall(r"v-([\d.]+)h", chart["bar"][0])]
    steps = [FLOOR - float(y) for y in re.findall(r"V([\d.]+)h", chart["line second"][0])]
    unit = np.array(bars).sum() / 24
    np.testing.assert_allclose(bars, unit * np.array(last), atol=0.06)
    np.testing.assert_allclose(steps, unit * np.array(first), atol=0.06)
    assert "epoch 0" in page.text
    assert "epoch 5" in page.text


def test_the_header_tells_state_images_and_configuration(run):
    facts = table(page_of(run), "Run")
    assert facts["state"] == "running"
    assert facts["progress"] == "epoch 5 of 20"
    assert facts["target images"] == "24"
    assert facts["source model"] == str(run.parent / "source")
    assert facts["configuration"] == "kappa = 14, delta = 0.8, epochs = 20, pose.mirror = false"
    assert facts["time left"] == "about 1 min, 2 s an epoch"
    assert page_of(run).tables["Target images"][1:] == [["box", "-", "6"], ["box", "fog", "18"]]


def test_accuracy_is_marked_as_watching_alone(run, tmp_path):
    assert "Labels of the target are used only for watching" in page_of(run).text
    write_history(tmp_path / "blind", [{k: v for k, v in epoch(i).items() if "acc" not in k} for i in range(3)])
    (tmp_path / "blind" / "history.jsonl").write_text(
        (tmp_path / "blind" / "history.jsonl").read_text().replace("median_deg", "other_number")
    )
    blind = page_of(tmp_path / "blind")
    assert "watching" not in blind.text
    assert "other number" in blind.charts


def test_the_page_needs_nothing_else_and_nothing_in_it_is_code(run):
    (run / "adapt.toml").write_text(f"name = '''{HOSTILE}'''\n")
    with (run / "history.jsonl").open("a") as file:
        file.write(json.dumps(epoch(6) | {HOSTILE: 1.5}) + "\n")
    page, text = page_of(run, reload=True), (run / "live.html").read_text()
    sources = [value for name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    rest = text.replace(sources[0], "")
    for outside in ("http:", "https:", "//", "@import", "url("):
        assert outside not in rest
    assert HOSTILE in page.text
    assert HOSTILE not in text
    assert not {name for name, _ in page.attributes} & {"onerror", "onload"}


def test_the_page_is_the_same_for_the_same_folder(run):
    now = time.time()
    page_of(run, now_s=now)
    first = (run / "live.html").read_bytes()
    page_of(run, now_s=now)
    assert (run / "live.html").read_bytes() == first


def test_missing_keys_and_numbers_that_are_none(tmp_path):
    entries = [{"epoch": 0}, {"epoch": 1, "loss": float("nan")}, {"epoch": 2, "loss": 1.5}, {"epoch": 3, "loss": None}]
    write_history(tmp_path / "run", entries)
    page = page_of(tmp_path / "run")
    assert len(points(page.charts["Loss"]["points first"][0])) == 1
    assert set(page.charts) == {"Loss"}
    assert not any("nan" in d for paths in page.charts["Loss"].values() for d in paths)


@pytest.mark.parametrize("tail", ['{"epoch": 3, "lo', '{"epoch": 3, "loss": 1.5}', '{"epoch": 3, "subset": "\\u00'])
def test_a_line_that_is_being_written_waits(tmp_path, tail):
    write_history(tmp_path / "run", [epoch(0), epoch(1)], tail)
    assert [entry["epoch"] for entry in read_history(tmp_path / "run" / "history.jsonl")] == [0, 1]


@pytest.mark.parametrize("content", ["", '{"epoch": 0, "lo'])
def test_an_empty_history(tmp_path, content):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.jsonl").write_text(content)
    page = page_of(tmp_path / "run")
    assert table(page, "Run")["progress"] == "nothing done yet"
    assert page.charts == {}


def test_damaged_lines_are_named(tmp_path):
    path = tmp_path / "run" / "history.jsonl"
    write_history(tmp_path / "run", [epoch(0)], "{broken\n" + json.dumps(epoch(1)) + "\n")
    with pytest.raises(ValueError, match=r"history\.jsonl line 2 is not JSON.*delete the line"):
        read_run(tmp_path / "run")
    path.write_text("[1, 2]\n")
    with pytest.raises(ValueError, match=r"line 1 is '\[1, 2\]', not a JSON object"):
        read_run(tmp_path / "run")
    path.write_text('{"epoch": 0}\n{"loss": 1}\n')
    with pytest.raises(ValueError, match="a line without its epoch"):
        read_run(tmp_path / "run")


def test_steps_over_rounds(tmp_path):
    run = tmp_path / "cc3d-box"
    entries = []
    for number in (1, 2):
        entries.append({"round": number, "step": 100 * (number - 1), "trusted": 40 + number, "alpha": 1.25})
        for step in range(1, 101):
            known = {"round": number, "step": 100 * (number - 1) + step, "loss": 1 / step, "domain": 0.5, "lr": 1e-4}
            entries.append(known | ({"acc_pi_6": 0.5 + step / 1000} if step % 50 == 0 else {}))
    write_history(run, entries)
    (run / "adapt.toml").write_text('arm = "paper"\nsteps = 100\nrounds = 2\n')
    page = page_of(run)
    assert table(page, "Run")["progress"] == "step 200 of 200"
    assert table(page, "Numbers of each round") == {"trusted": "41, 42", "alpha": "1.25, 1.25"}
    assert page.charts["Loss"]["line first"][0].count("L") == 199
    assert len(points(page.charts["Accuracy"]["points first"][0])) == 4
    assert page.charts["Domain term"]["line first"][0].count("L") == 199
    assert "one step in 2" in page.text


def test_states(run):
    read = read_run(run)
    assert state(read, read.news_s + 100) == "running"
    assert state(read, read.news_s + 300) == "no news for 5 minutes"
    slow = read_run(write_run(run.parent / "slow"))
    write_history(slow.folder, [epoch(0, seconds=200.0)])
    slow = read_run(slow.folder)
    assert state(slow, slow.news_s + 590) == "running"
    assert state(slow, slow.news_s + 610) == "no news for 10 minutes"
    write_model(run)
    assert state(read_run(run), read.news_s + 9999) == "finished"


def test_the_page_loads_itself_anew_until_the_run_is_finished(run):
    def reloads(**how):
        return [value for name, value in page_of(run, **how).attributes if name == "http-equiv"]

    assert reloads(reload=True) == ["refresh"]
    assert reloads(reload=False) == []
    write_model(run)
    assert reloads(reload=True) == []


def test_watching_a_growing_file(run):
    pages = watch(run, 0.02)
    first = next(pages)
    assert first.notes == ("uda-box: running, epoch 5 of 20",)
    assert not first.finished

    def grow():
        time.sleep(0.1)
        with (run / "history.jsonl").open("a") as file:
            file.write(json.dumps(epoch(6)) + "\n")

    writer = threading.Thread(target=grow)
    writer.start()
    second = next(pages)
    writer.join()
    assert second.notes == ("uda-box: running, epoch 6 of 20",)
    assert "epoch 6 of 20" in (run / "live.html").read_text()
    write_model(run)
    last = next(pages)
    assert last.finished
    assert list(pages) == []


def test_nothing_is_written_while_nothing_happens(run):
    pages = watch(run, 0.01)
    next(pages)
    before = (run / "live.html").stat().st_mtime_ns
    timer = threading.Timer(0.3, write_model, (run,))
    timer.start()
    assert next(pages).finished
    timer.join()
    assert (run / "live.html").stat().st_mtime_ns - before > 0.2e9


def test_a_model_for_each_category(tmp_path):
    for name in ("bus", "car"):
        write_history(tmp_path / "out" / name, [epoch(0), epoch(1)])
    write_model(tmp_path / "out" / "bus")
    assert [path.name for path in run_folders(tmp_path / "out")] == ["bus", "car"]
    page = page_of(tmp_path / "out", reload=True)
    assert "bus: finished, epoch 1; car: running, epoch 1." in page.text
    assert "car: Curves" in page.text
    write_model(tmp_path / "out" / "car")
    # another category may begin any moment
    assert not write_page(tmp_path / "out", time.time(), reload=True).finished
    assert write_page(tmp_path / "out", time.time() + 130, reload=True).finished


def call(*words):
    return CliRunner().invoke(main, ["watch", *map(str, words)])


def test_the_command(run):
    result = call(run, "--once")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(run / "live.html")
    write_model(run)
    result = call(run)
    assert result.exit_code == 0, result.output
    assert "uda-box: finished, epoch 5 of 20" in result.output
    assert "pose-models watch runs" in call("--help").output.split("Examples")[1]


def test_folders_that_are_no_run(tmp_path):
    result = call(tmp_path / "missing", "--once")
    assert result.exit_code == 1
    assert "holds neither history.jsonl nor adapt.toml" in result.output
    assert "pose-models adapt" in result.output
    assert not (tmp_path / "missing").exists()


def test_ctrl_c_leaves_a_page_that_rests(run):
    watching = subprocess.Popen(
        [BIN, "watch", run, "--every", "0.05"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # shells let jobs ignore it
    )
    assert "open it in a browser" in watching.stdout.readline()
    assert "refresh" in (run / "live.html").read_text()
    assert "epoch 5" in watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    output, _ = watching.communicate(timeout=300)
    assert watching.returncode == 0
    assert "no longer watched" in output
    assert "refresh" not in (run / "live.html").read_text()
