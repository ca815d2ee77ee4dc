"""The stylizer that comes with the project: its size and licence, and that it paints what the prompt asks for."""

import json

import numpy as np
import pytest

from p3d_gen.bench.colours import HELD_OUT, in_colours, obeys, paint_of, painted_pixels
from p3d_gen.bench.scenes import temporary_run
from p3d_gen.render.prepare import ensure_models
from p3d_gen.render.stage import render_shard
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import open_run
from p3d_gen.spec.stylize import Control, Stylize
from p3d_gen.spec.taken import embedded_folder
from p3d_gen.stylize.stage import expected_of
from p3d_gen.stylize.survival import survival

SETTINGS = Stylize(
    stylizer="controlnet",
    base="embedded",
    control=[Control(weights="embedded")],
    negative_prompt="",
    resolution=128,
    steps=6,
    guidance_scale=2.0,
)
SECTIONS = {
    "cad": {"variants": list(HELD_OUT)},
    "camera": {"image_hw": [128, 128], "focal_px": 600.0, "distance": [4.5, 5.0]},
    "render": {"samples": 2},
    "output": {"members": ["mask", "parts", "depth"]},
}


def test_it_is_small_and_free():
    folder = embedded_folder("stylizer")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 30e6
    for part in ("base", "controlnet"):
        assert "license: cc0-1.0" in (folder / part / "README.md").read_text()


@pytest.mark.blender
def test_a_shape_that_it_has_not_seen_takes_the_prompts_colour_and_keeps_its_pose():
    from p3d_gen.stylize.diffusion import DiffusionStylizer

    with temporary_run(["car"], 1, 1, **SECTIONS) as run:
        ensure_models(run.root)
        run = open_run(run.root)
        (shard,) = run.all_shards()
        render_shard(str(run.root), shard)
        ((_, members),) = read_shard(run.tar("render", shard))
        expected = expected_of(run, json.loads(members["json"]), members)
        other = expected_of(run, json.loads(members["json"]) | {"cam_T_obj": mirrored(members)}, members)
        pictures = in_colours(DiffusionStylizer(SETTINGS, run.root, "cpu"), SETTINGS, members, ("red", "blue"))
    painted = painted_pixels(members)
    for colour, picture in pictures.items():
        assert obeys(paint_of(picture, painted), colour)
        assert survival(picture, expected).score > survival(picture, other).score + 0.1


def mirrored(members):
    """The pose of a render after half a turn about the object's own x axis."""
    pose = np.array(json.loads(members["json"])["cam_T_obj"])
    return (pose @ np.diag([1.0, -1.0, -1.0, 1.0])).tolist()
