"""Protocols run to their tables on small folders of the published layouts: resume, failures, means over seeds."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from p3d_gen.core.errors import ManifestError, RunError
from pose_models.cli import main
from pose_models.protocols.commands import leaf_command, option_names
from pose_models.protocols.manifest import load_protocol
from pose_models.protocols.planner import STEPS, ProtocolRequest, arguments, make_plan
from pose_models.protocols.run import LOG_FILE, RECORD_FILE, run_jobs
from pose_models.protocols.table import protocol_figures, write_protocol
from tests.helpers.boxes import write_run
from tests.helpers.protocol_folders import (
    PROTOCOLS,
    anything,
    write_cars3d,
    write_ood_cv,
    write_pascal3d,
    write_renders,
)

MANIFESTS = sorted(PROTOCOLS.glob("*.toml"))
TINY = {
    "backbone": "test_resnet",
    "weights": "none",
    "steps": "2",
    "batch": "2",
    "image-size": "64",
    "vertices": "100",
    "epochs": "1",
    "top": "2",
    "merge": "sum",
    "max-stride": "16",
    "pseudo.threshold": "-1",
}


def in_process(words, log, lock):
    """A step without a process of its own: what it imports is imported once."""
    result = CliRunner().invoke(main, list(words))
    log.write(result.output.encode())
    log.flush()
    return result.exit_code


def tiny(plan, **more):
    known = {name for job in plan.jobs for name in _options_of(job)}
    return {name: value for name, value in {**TINY, **more}.items() if name.rpartition(".")[2] in known}


def _options_of(job):
    return option_names(leaf_command(main, job.command))


def small_request(protocol, data, shards, **more):
    """One seed, two steps of everything."""
    given = {
        "manifest": Path("p.toml"),
        "data": data,
        "shards": dict.fromkeys(protocol.shards, shards),
        "cads": shards.parent / "cad",
    }
    given |= {"seeds": [0]} | more
    plan = make_plan(protocol, ProtocolRequest(**given), main)
    steps = {job.step for job in plan.jobs}
    changes = {k: v for k, v in tiny(plan).items() if "." not in k or k.partition(".")[0] in steps}
    return ProtocolRequest(**given, changes=changes)


def run_all(plan, out, **more):
    return list(run_jobs(plan.jobs, main, out, "cpu", lambda job: None, call=in_process, **more))


@pytest.fixture(scope="module")
def pascal(tmp_path_factory):
    return write_pascal3d(tmp_path_factory.mktemp("pascal3d"), train=8)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_renders(tmp_path_factory.mktemp("renders"))


@pytest.fixture(scope="module")
def ood(tmp_path_factory):
    return write_ood_cv(tmp_path_factory.mktemp("ood"))


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    return write_cars3d(tmp_path_factory.mktemp("cars3d"))


def test_a_protocol_runs_to_its_table(pascal, shards, tmp_path):
    protocol = load_protocol(PROTOCOLS / "cc3d_table2.toml")
    rows = ["StarMap", "P3D + NeMo", "CC3D, as released"]
    request = small_request(protocol, pascal, shards, rows=rows, settings=["disjoint"], categories=["car"])
    plan = make_plan(protocol, request, main)
    done = run_all(plan, tmp_path)
    assert [each.job.step for each in done] == ["synthetic", "evaluate", "cc3d-released", "evaluate"]
    tables = write_protocol(tmp_path, plan)
    (cells,) = ([row for row in table.rows if row[0] == "CC3D, as released"] for table in tables)
    assert (cells[0][1], cells[0][3], cells[0][5], cells[0][-2:]) == ("76.3", "41.4", "15.5", ("6", "1"))
    assert next(row for row in tables[0].rows if row[0] == "StarMap")[1:3] == ("89.4", "quoted")
    text = (tmp_path / "table.txt").read_text()
    assert "StarMap: the method is not built here" in text
    found = json.loads((tmp_path / "table.json").read_text())["figures"]
    summary = json.loads((tmp_path / STEPS / "synthetic+evaluate.val" / "seed0" / "run" / "summary.json").read_text())
    one = next(f for f in found if (f["row"], f["figure"]) == ("P3D + NeMo", "acc_pi_6"))
    assert one["paper"] == 71.8
    assert one["mean"] == pytest.approx(100 * summary["rows"]["model"]["acc_pi_6"])
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + len(found)
    _finished_steps_are_passed_over(protocol, plan, request, tmp_path)


OWN = """
title = "Boxes"
kind = "shards"
categories = ["box"]
seeds = [0]
shards = ["renders"]
[category.box]
symmetry = ["z:2"]
diagonal_m = 0.4
[settings.all]
[steps.mesh]
command = "train"
options = { shards = "{renders}", backbone = "test_resnet", weights = "none", image-size = 64, steps = 2, batch = 2 }
[steps.classes]
command = "baseline train"
options = { shards = "{renders}", backbone = "test_resnet", weights = "none", image-size = 64, steps = 2, batch = 2 }
[[rows]]
name = "NeMo"
steps = ["mesh"]
[[rows]]
name = "Res-General"
steps = ["classes"]
"""


def test_a_protocol_defines_categories_of_its_own(tmp_path):
    """The renders' run knows nothing of the category; models and symmetry-aware figures know what the protocol says."""
    run = write_run(tmp_path / "run", train=4, test=3, category="box")
    (tmp_path / "boxes.toml").write_text(OWN)
    protocol = load_protocol(tmp_path / "boxes.toml")
    request = ProtocolRequest(manifest=tmp_path / "boxes.toml", data=run / "test", shards={"renders": run / "shards"})
    plan = make_plan(protocol, request, main)
    run_all(plan, tmp_path / "out")
    for step in ("mesh", "classes"):
        steps = tmp_path / "out" / STEPS
        [known] = json.loads((steps / step / "seed0" / "run" / "model.json").read_text())["definitions"]
        assert (known["name"], known["diagonal_m"]) == ("box", 0.4)
        rows = json.loads((steps / f"{step}+evaluate" / "seed0" / "run" / "summary.json").read_text())["rows"]
        assert "model, symmetry-aware" in rows
    other = load_protocol_text(tmp_path, OWN.replace("z:2", "z:4"))
    elsewhere = ProtocolRequest(**{**vars(request), "manifest": tmp_path / "other.toml"})
    digests = [job.digest for job in plan.jobs]
    assert [job.digest for job in make_plan(protocol, elsewhere, main).jobs] == digests
    assert not {job.digest for job in make_plan(other, elsewhere, main).jobs} & set(digests)
    with pytest.raises(ManifestError, match=r"category.bok\] is not one of categories; did you mean 'box'"):
        load_protocol_text(tmp_path, OWN.replace("category.box", "category.bok"))


def test_a_protocol_may_define_some_of_its_categories(tmp_path):
    """Each has a training of its own; those of categories that it does not define read no definitions."""
    protocol = load_protocol_text(tmp_path, OWN.replace('["box"]', '["box", "car"]'))
    request = ProtocolRequest(manifest=Path("/p.toml"), data=tmp_path, shards={"renders": tmp_path})
    job, classes = (job for job in make_plan(protocol, request, main).jobs if job.step in ("mesh", "classes"))
    train, baseline = (leaf_command(main, each.command) for each in (job, classes))
    assert "--definitions" in arguments(job, train, tmp_path, "cpu", "box")
    assert "--definitions" not in arguments(job, train, tmp_path, "cpu", "car")
    assert "--definitions" in arguments(classes, baseline, tmp_path, "cpu")
    cars = make_plan(protocol, replace(request, categories=["car"]), main)
    assert not [job for job in cars.jobs if "definitions" in job.options]


def load_protocol_text(folder, text):
    (folder / "other.toml").write_text(text)
    return load_protocol(folder / "other.toml")


def _finished_steps_are_passed_over(protocol, plan, request, out):
    def refuse(words, log, lock):
        raise AssertionError(words)

    again = list(run_jobs(plan.jobs, main, out, "cpu", lambda job: None, call=refuse))
    assert all(each.before for each in again)
    changed = make_plan(
        protocol, ProtocolRequest(**{**vars(request), "changes": {**request.changes, "steps": "3"}}), main
    )
    with pytest.raises(RunError, match=r"synthetic/seed0 was made with other options"):
        list(run_jobs(changed.jobs, main, out, "cpu", lambda job: None, call=refuse))


def test_a_failing_step_names_row_step_and_log_and_others_can_go_on(pascal, shards, tmp_path):
    protocol = load_protocol(PROTOCOLS / "cc3d_table4.toml")
    rows = ["without adaptation", "without both"]
    plan = make_plan(protocol, anything(protocol, seeds=[0], rows=rows, categories=["car"]), main)

    def call(words, log, lock):
        log.write(b"out of patience\n")
        return 3 if "stylized" in str(words) else 0

    with pytest.raises(RunError, match=r"row 'without adaptation', step 'stylized' failed with exit status 3") as error:
        list(run_jobs(plan.jobs, main, tmp_path, "cpu", lambda job: None, call=call))
    log = tmp_path / STEPS / "stylized" / "seed0" / LOG_FILE
    assert str(log) in str(error.value)
    assert "out of patience" in str(error.value)
    failed = []
    done = list(
        run_jobs(
            plan.jobs, main, tmp_path, "cpu", lambda job: None, call=call, on_failure=lambda job, e: failed.append(job)
        )
    )
    assert [job.step for job in failed] == ["stylized"]
    assert [each.job.name for each in done] == ["plain/seed0", "plain+evaluate.val/seed0"]


def test_two_processes_do_not_work_on_one_step(tmp_path):
    protocol = load_protocol(PROTOCOLS / "cc3d_table4.toml")
    plan = make_plan(protocol, anything(protocol, seeds=[0], rows=["without both"], categories=["car"]), main)

    def call(words, log, lock):
        with pytest.raises(RunError, match=r"plain/seed0 is being worked on by another process"):
            list(run_jobs(plan.jobs, main, tmp_path, "cpu", lambda job: None, call=call))
        return 0

    list(run_jobs(plan.jobs[:1], main, tmp_path, "cpu", lambda job: None, call=call))


PROTOCOL_PROCESS = """
import sys, click
from pathlib import Path
from p3d_gen.core.commandline import Group
from pose_models.protocols.run import by_process
@click.group(cls=Group)
def main(): pass
@main.command()
@click.argument("run")
@click.argument("log")
def protocol(run, log):
    with Path(log).open("wb") as file: by_process(["watch", run, "--every", "0.1"], file, file.fileno())
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_step_ends_with_its_protocol(tmp_path, number):
    """A step that would watch a folder for ever."""
    (tmp_path / "history.jsonl").write_text("")
    log = tmp_path / "log.txt"
    process = subprocess.Popen([sys.executable, "-c", PROTOCOL_PROCESS, "protocol", tmp_path, log])
    end = time.monotonic() + 200
    while not (log.is_file() and "live.html" in log.read_text()) and time.monotonic() < end:
        time.sleep(0.1)
    (step,) = psutil.Process(process.pid).children()
    process.send_signal(number)
    assert process.wait(60) == (143 if number == signal.SIGTERM else -number)
    psutil.wait_procs([step], timeout=60)
    assert not step.is_running()


def test_an_option_is_set_where_it_fits(tmp_path):
    protocol = load_protocol(PROTOCOLS / "3duda_table1.toml")
    changes = {"backbone": "resnet18", "nemo.steps": "7", "epochs": "3", "3duda.augment": "true"}
    given = {"seeds": [0], "rows": ["3DUDA"], "categories": ["car"], "settings": ["transductive"]}
    plan = make_plan(protocol, anything(protocol, **given, changes=changes), main)
    nemo, adapted, _ = (job.options for job in plan.jobs)
    assert (nemo["backbone"], nemo["steps"], "epochs" in nemo) == ("resnet18", "7", False)
    assert "backbone" not in adapted  # a switch of that command
    assert (adapted["epochs"], adapted["augment"]) == ("3", "true")


def test_an_interrupted_protocol_goes_on_category_by_category(tmp_path):
    protocol = load_protocol(PROTOCOLS / "3duda_table1.toml")
    request = anything(protocol, seeds=[0], rows=["NeMo"], categories=["car", "bus"], settings=["transductive"])
    plan = make_plan(protocol, request, main)
    calls = []

    def call(words, log, lock):
        calls.append(words[-3])
        if len(calls) == 2:
            raise KeyboardInterrupt
        out = Path(words[list(words).index("--out") + 1])
        if words[0] == "train":
            out.mkdir(parents=True)
            (out / "model.json").write_text("{}")
        return 0

    with pytest.raises(KeyboardInterrupt):
        list(run_jobs(plan.jobs, main, tmp_path, "cpu", lambda job: None, call=call))
    record = json.loads((tmp_path / STEPS / "nemo" / "seed0" / RECORD_FILE).read_text())
    assert record["finished"] is False
    done = list(run_jobs(plan.jobs, main, tmp_path, "cpu", lambda job: None, call=call))
    made = [Path(each).name for each in calls]
    assert made == ["bus", "car", "car", "run"]
    assert not any(each.before for each in done)


def test_means_and_spreads_over_seeds_and_parts(tmp_path):
    protocol = load_protocol(PROTOCOLS / "3duda_table1.toml")
    plan = make_plan(protocol, anything(protocol, rows=["NeMo", "3DUDA"], settings=["transductive"]), main)
    for cell, accuracy in zip([c for c in plan.cells if c.row == "3DUDA"], (0.8, 0.9, 1.0), strict=True):
        metrics = {"acc_pi_6": accuracy, "acc_pi_18": 0.5, "median_deg": 7.0, "n": 10}
        folder = tmp_path / STEPS / cell.job.name / "run"
        folder.mkdir(parents=True)
        parts = {"model": {"groups": {"weather": metrics}}}
        (folder / "summary.json").write_text(json.dumps({"rows": {"model": metrics}, "per_subset": parts}))
    figures = {(f.row, f.group, f.figure): f for f in protocol_figures(plan, tmp_path)}
    whole = figures["3DUDA", "", "acc_pi_6"]
    assert (whole.paper, whole.seeds, whole.images) == (94.0, 3, 10)
    assert (whole.mean, whole.std) == pytest.approx((90.0, 10.0))
    assert figures["NeMo", "", "acc_pi_6"].mean is None
    tables = write_protocol(tmp_path, plan)
    assert tables[0].rows[1] == ("3DUDA", "94.0", "90.0 ± 10.0", "87.8", "50.0 ± 0.0", "-", "7.0 ± 0.0", "10", "3")
    assert tables[0].rows[0][1:3] == ("48.1", "-")
    by_part = dict(zip(tables[1].header, tables[1].rows[1], strict=True))
    assert (by_part["weather paper"], by_part["weather here"], by_part["shape here"]) == ("83.1", "90.0 ± 10.0", "-")


def test_the_command_prints_its_steps_without_torch():
    words = ["protocol", str(PROTOCOLS / "3duda_table1.toml"), "--data", "D", "--cads", "C", "--out", "O", "--dry-run"]
    words += ["--seed", "1", "--category", "car", "--set", "evaluate.mirror=true"]
    code = (
        "import sys; from click.testing import CliRunner; from pose_models.cli import main;"
        f"print(CliRunner().invoke(main, {words}).output, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pose-models adapt 3duda --model O/steps/nemo/seed1/run" in found
    assert "--mirror" in found
    assert "10 steps, 6 evaluations" in found
    assert found.split()[-1] == "False"


SLOW = (
    ("cc3d_table1", "pascal"),
    ("cc3d_table2", "pascal"),
    ("cc3d_table3", "ood"),
    ("cc3d_table4", "pascal"),
    ("cc3d_table5_pascal3d", "pascal"),
    ("cc3d_table5_ood_cv", "ood"),
    ("3duda_table1", "ood"),
    ("3duda_table2", "pascal"),
    ("3duda_table3", "ood"),
    ("cars3d", "cars"),
    ("cars3d_ablation", "cars"),
)
# More labels than the small folders have photographs.
TOO_MANY = ("20 labels", "50 labels")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layout"), SLOW)
def test_every_protocol_runs_to_its_end(name, layout, shards, tmp_path, request):
    protocol = load_protocol(PROTOCOLS / f"{name}.toml")
    data = request.getfixturevalue(layout)
    columns = [*protocol.columns][:: max(1, len(protocol.columns) - 1)]  # the first and the last
    rows = [row.name for row in protocol.rows if not row.name.startswith(TOO_MANY)]
    categories = [name for name in ("bus", "car") if name in protocol.categories]
    asked = small_request(protocol, data, shards, rows=rows, columns=columns, categories=categories)
    plan = make_plan(protocol, asked, main)
    run_all(plan, tmp_path)
    for figure in protocol_figures(plan, tmp_path):
        assert figure.quoted or figure.mean is not None, figure


@pytest.mark.slow
def test_the_command_runs_a_protocol_in_processes_of_their_own(pascal, shards, tmp_path):
    words = ["protocol", PROTOCOLS / "cc3d_table4.toml", "--data", pascal, "--out", tmp_path, "--device", "cpu"]
    words += ["--shards", f"plain={shards}", "--row", "without both", "--category", "car", "--seed", 0]
    for option in ("backbone", "weights", "steps", "batch", "image-size", "vertices", "merge", "max-stride"):
        words += ["--set", f"{option}={TINY[option]}"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "without both" in result.output
    assert "70.6" in result.output
    again = CliRunner().invoke(main, [str(word) for word in words])
    assert again.output.count("already finished") == 2
