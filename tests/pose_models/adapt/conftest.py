"""Fixtures: models of boxes to adapt, and the images that they are adapted to."""

import numpy as np
import pytest

from pose_models.adapt.target import Target
from pose_models.adapt.uda3d import run
from pose_models.data.cads import cad_vertices
from pose_models.data.shards import ShardSamples
from pose_models.training import LoopOptions, Sources, train
from tests.helpers.boxes import members, write_run, write_tar
from tests.helpers.cc3d import CONFIG as CC3D_CONFIG
from tests.helpers.cc3d import OPTIONS, renders_of
from tests.helpers.uda import CONFIG, CPU, SOURCE, hashes, noisy


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A run of boxes, its model in `model`, and the samples of the noisy target."""
    folder = tmp_path_factory.mktemp("made")
    write_run(folder, train=48)
    renders = ShardSamples([folder / "shards" / "box-00000.tar"])
    sources = Sources(renders=renders, cads={"box": cad_vertices(folder / "cad", "box")})
    train(SOURCE, sources, folder / "model", LoopOptions(cpu=True), lambda step: None)
    rng = np.random.default_rng([5, 1])
    write_tar(folder / "target" / "box-00000.tar", [file for i in range(24) for file in members(500 + i, rng)])
    return folder


@pytest.fixture(scope="session")
def samples(made):
    return noisy(ShardSamples([made / "target" / "box-00000.tar"]))


@pytest.fixture(scope="session")
def adapted(made, samples, tmp_path_factory):
    """An adaptation without interruption, for which the source's images are gone; its folder and its model."""
    out = tmp_path_factory.mktemp("adapted") / "run"
    hidden = (made / "shards").rename(made / "hidden")
    before = hashes(made / "model")
    model = run(made / "model", Target(samples, 96), CONFIG, out, CPU)
    assert hashes(made / "model") == before
    hidden.rename(made / "shards")
    return out, model


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A source run and a trained model in `source`; target images in other shards."""
    run = write_run(tmp_path_factory.mktemp("run"), train=16, test=6)
    sources = Sources(renders=renders_of(run), cads={"box": cad_vertices(run / "cad", "box")})
    train(CC3D_CONFIG, sources, run / "source", OPTIONS, lambda step: None)
    return run
