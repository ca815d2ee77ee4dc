"""The preparation of CAD models by a real Blender: bars that move within a model, and the limit of its time."""

import subprocess

import numpy as np
import pytest
import trimesh

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.core.errors import AssetError
from p3d_gen.render.prepare import prepare_model, prepare_models
from p3d_gen.run.live import advancing
from p3d_gen.run.shares import whole
from p3d_gen.spec.inventory import Asset
from tests.helpers.commands import BIN


def test_a_bar_moves_within_a_model(run):
    shares = []
    with BlenderWorker(timeout_s=120) as worker:
        assert prepare_model(run, worker, "car", run.inventory.cads["car"][0], shares.append) == ""
    assert len([share for share in shares if share > 0]) >= 5
    assert sum(shares) == 1.0
    assert max(shares) < 0.5


@pytest.mark.slow
def test_a_model_of_1_6_million_faces_takes_less_than_1_5_gb(run, tmp_path):
    side = 895
    turn = np.linspace(0, 2 * np.pi, side, endpoint=False)
    u, v = np.meshgrid(turn, turn, indexing="ij")
    radius = 1 + 0.4 * np.cos(v)
    vertices = np.stack([radius * np.cos(u), radius * np.sin(u), 0.4 * np.sin(v)], axis=-1).reshape(-1, 3)
    number = np.arange(side * side).reshape(side, side)
    after, beside = np.roll(number, -1, axis=0), np.roll(number, -1, axis=1)
    across = np.roll(after, -1, axis=1)
    faces = np.stack([number, after, across, number, across, beside], axis=-1).reshape(-1, 3)
    assert len(faces) > 1_600_000
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / "torus.ply")
    with BlenderWorker(timeout_s=300, memory_mb=1430) as worker:
        assert prepare_model(run, worker, "car", Asset(id="torus", address=str(tmp_path / "torus.ply"))) == ""


def test_a_run_names_the_model_and_the_option_that_gives_it_more_time(run):
    shares = []
    with pytest.raises(AssetError) as raised:
        prepare_models(run, 1, shares.append, timeout_s=0.001)
    assert str(run.inventory.cads["car"][0].path) in str(raised.value)
    assert "took more than the 0.001 s of --prepare-timeout and was ended: raise --prepare-timeout" in str(raised.value)
    assert sum(shares) == sum(map(len, run.inventory.cads.values()))


def test_a_check_names_the_option_that_gives_a_model_more_time(run, tmp_path):
    model = run.inventory.cads["car"][0].path
    words = ["assets", "check", str(model), "--category", "car", "--no-pictures", "--prepare-timeout", "0.001"]
    done = subprocess.run([BIN, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{model.name}: its preparation took more than the 0.001 s of --prepare-timeout" in done.stdout
    assert "Traceback" not in done.stderr


def test_lines_take_the_place_of_a_bar_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr("p3d_gen.run.live._LINE_EVERY_S", 0.0)
    with advancing("models", 2) as advance:
        for share in (0.25, 0.5, 0.25, 0.75):
            advance(share)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("models: ")]
    assert lines == ["models: 0.25/2", "models: 0.75/2", "models: 1/2", "models: 1.75/2"]


def test_shares_of_a_piece_add_up_to_one_however_it_ends():
    for told in ((), (0.25, 0.5), (0.75, 0.5, 0.5)):
        shares = []
        with pytest.raises(OSError, match="broken"), whole(shares.append) as advance:  # noqa: PT012
            for share in told:
                advance(share)
            raise OSError("broken")
        assert sum(shares) == 1.0
        assert min(shares) >= 0.0
