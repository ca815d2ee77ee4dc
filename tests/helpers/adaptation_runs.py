"""Run folders as adaptations leave them, and their live page."""

import json
import time

import numpy as np
from safetensors.numpy import save_file

from p3d_gen.core.cuboid import cuboid
from pose_models.report.adaptation import write_page
from tests.helpers.pages import Page

LOWER, UPPER = (-0.2, -0.45, -0.18), (0.2, 0.45, 0.18)
MESH = cuboid(np.float32(LOWER), np.float32(UPPER), 200)


def epoch(number, **more):
    """An epoch in which everything gets better."""
    bins = np.histogram(np.linspace(0.1, 0.5, 24) + 0.04 * number, 10, (0, 1))[0]
    known = {
        "epoch": number,
        "accepted_share": 0.2 + 0.05 * number,
        "coverage": min(1.0, 0.3 + 0.1 * number),
        "bank_moves": 2 * number,
        "images_passed": 10 + number,
        "confidence_mean": 0.3 + 0.04 * number,
        "seconds": 2.5,
        "acc_pi_6": 0.4 + 0.03 * number,
        "acc_pi_18": 0.1 + 0.02 * number,
        "median_deg": 40.0 - 2 * number,
    }
    known |= {f"confidence_histogram_{i:02d}": int(count) for i, count in enumerate(bins)}
    return known | ({"loss": 3.0 - 0.1 * number} if number else {}) | more


def write_history(run, entries, tail=""):
    run.mkdir(parents=True, exist_ok=True)
    (run / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries) + tail)


def write_model(folder, category="box"):
    folder.mkdir(parents=True, exist_ok=True)
    mesh = {"category": category, "vertices": 200, "box_lower": LOWER, "box_upper": UPPER}
    (folder / "model.json").write_text(json.dumps({"schema": 2, "meshes": [mesh]}))


def write_rates(run, rows, category="box"):
    rates = np.asarray(rows, dtype=np.float32)
    save_file({f"{category}/acceptance": rates, f"{category}/similarity": rates}, run / "vertices.safetensors")


def write_run(run, epochs=6, images=24):
    """A run folder as 3DUDA leaves it, not finished."""
    write_history(run, [epoch(number) for number in range(epochs)])
    (run / "adapt.toml").write_text("kappa = 14.0\ndelta = 0.8\nepochs = 20\n\n[pose]\nmirror = false\n")
    lines = [{"key": f"{i}", "subset": "fog" if i % 4 else "", "category": "box"} for i in range(images)]
    (run / "target.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_model(run.parent / "source")
    (run / "source.json").write_text(json.dumps({"model": str(run.parent / "source")}))
    rising = np.linspace(0.1, 0.6, epochs)[:, None] + np.zeros(len(MESH.vertices))
    write_rates(run, rising)
    return run


def page_of(folder, *, reload=False, now_s=None):
    written = write_page(folder, time.time() if now_s is None else now_s, reload=reload)
    assert written.path == folder / "live.html"
    return Page(written.path.read_text())
