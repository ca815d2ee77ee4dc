"""Training of a stylizer on drawn pairs: what it is shown, that it goes on after a kill, and what it leaves."""

import json

import cv2
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from PIL import Image, ImageColor

from p3d_gen.core.codecs import decode_image, encode_png
from p3d_gen.core.errors import ConfigError, RunError
from p3d_gen.run.shards import write_shard
from p3d_gen.stylize.edges import WORLD_GREY, on_grey
from p3d_gen.stylize.training.fit import pick_device, train
from p3d_gen.stylize.training.networks import make_tokenizer, words_of
from p3d_gen.stylize.training.pairs import example, read_pairs
from p3d_gen.stylize.training.recipe import Recipe, load_recipe

COLOURS, SIDE = ("red", "blue"), 96


def recipe(**changes):
    sizes = {
        "autoencoder": {"channels": 8, "latent_channels": 4, "size": 64, "crop": 64, "batch": 2, "steps": 3},
        "network": {"channels": (16, 16, 16), "head_width": 8, "groups": 8, "control_channels": (8, 8, 8)},
        "phases": [{"size": 64, "steps": 2, "batch": 2}, {"size": 128, "steps": 1, "batch": 1}],
    }
    return Recipe.model_validate({"prior": "a", "target": "b", "checkpoint": 1} | sizes | changes)


def picture(index, texture):
    """A tilted box on nothing: noise inside, or one colour."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    corners = cv2.boxPoints(((48, 48), (40 + index, 24), 10 * index)).astype(np.int32)
    cv2.fillPoly(alpha, [corners], 255)
    if texture:
        rgb = np.random.default_rng([index, 1]).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    else:
        rgb = np.full((SIDE, SIDE, 3), ImageColor.getrgb(COLOURS[index % 2]), np.uint8)
    return encode_png(np.dstack([rgb, alpha]))


def shard(path, texture, pose=0.0):
    def sample(index):
        labels = {"cam_T_obj": [[pose]], "cad_id": "m", "category": "car", "colour": COLOURS[index % 2]}
        return f"car-{index:06d}", {"render.png": picture(index, texture), "json": json.dumps(labels).encode()}

    write_shard(path, map(sample, range(6)))
    return path


@pytest.fixture
def pairs(tmp_path):
    return read_pairs([shard(tmp_path / "prior.tar", True)], [shard(tmp_path / "target.tar", False)])


def quiet(*_):
    pass


def test_pairs_are_of_one_sample_and_one_pose(tmp_path, pairs):
    assert [pair.colour for pair in pairs] == ["red", "blue"] * 3
    with pytest.raises(RunError, match=r"car-000000 in two poses.*may differ in texture"):
        read_pairs([tmp_path / "prior.tar"], [shard(tmp_path / "turned.tar", False, pose=1.0)])


def test_edges_and_picture_of_an_example_stay_together(pairs):
    """Window, mirroring and scale are the same for both: edges of the object's outline lie on the picture's."""
    same = pairs[3].__class__(**(vars(pairs[3]) | {"prior": pairs[3].target}))
    for seed in range(12):
        shown = example(same, recipe(), 64, np.random.default_rng([seed, 1]))
        assert shown.edges.any()
        object_ = shown.alpha > 127
        rim = cv2.dilate(object_.astype(np.uint8), np.ones((5, 5))) - cv2.erode(
            object_.astype(np.uint8), np.ones((5, 5))
        )
        assert rim[shown.edges > 0].mean() > 0.9
        assert np.abs(shown.picture[~cv2.dilate(shown.alpha, np.ones((5, 5))).astype(bool)] - WORLD_GREY).max() == 0


def test_examples_depend_on_their_generator_alone(pairs):
    first, again, other = (example(pairs[0], recipe(), 64, np.random.default_rng([s, 1])) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.picture, again.picture)
    assert (first.picture != other.picture).any()
    prompts = {example(pairs[0], recipe(unprompted=0.5), 64, np.random.default_rng([s, 1])).prompt for s in range(40)}
    assert prompts == {"", "red car", "a red car", "a photo of a red car"}


def test_the_tokenizer_knows_its_words_and_spells_others():
    tokenizer = make_tokenizer(words_of(["Red car", "a diningtable"]), 16)
    assert len(tokenizer("a red diningtable").input_ids) == 2 + 3
    assert len(tokenizer("oats").input_ids) == 2 + 4
    assert tokenizer("red car").input_ids != tokenizer("car red").input_ids


def test_training_makes_a_pipeline_that_diffusers_loads(tmp_path, pairs):
    seen = []
    model = train(
        recipe(), pairs, tmp_path / "out", "cpu", lambda name, step, steps, _: seen.append((name, step, steps))
    )
    assert seen == [("autoencoder", i, 3) for i in (1, 2, 3)] + [("denoiser", i, 3) for i in (1, 2, 3)]
    assert "license: cc0-1.0" in (model / "base" / "README.md").read_text()
    controlnet = ControlNetModel.from_pretrained(model / "controlnet", dtype=torch.float32)
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        model / "base", controlnet=controlnet, dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    edges = Image.new("RGB", (64, 128))
    made = pipeline("red car", image=edges, num_inference_steps=2, generator=torch.Generator().manual_seed(0)).images[0]
    assert made.size == (64, 128)
    with torch.no_grad():
        latents = pipeline.vae.encode(torch.from_numpy(shown(pairs)).to(torch.float32)).latents
    assert 0.3 < float(latents.std()) * pipeline.vae.config.scaling_factor < 3


def shown(pairs):
    renders = [decode_image(pair.target) for pair in pairs]
    pictures = [on_grey(render[..., :3], render[..., 3]) for render in renders]
    return np.stack(pictures).transpose(0, 3, 1, 2) / 127.5 - 1


def weights(model):
    return {str(p.relative_to(model)): p.read_bytes() for p in model.rglob("*.safetensors")}


@pytest.mark.parametrize("stop", [("autoencoder", 2), ("denoiser", 2)])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, pairs, stop):
    def kill(name, step, _, __):
        if (name, step) == stop:
            raise KeyboardInterrupt

    whole = train(recipe(), pairs, tmp_path / "whole", "cpu", quiet)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), pairs, tmp_path / "cut", "cpu", kill)
    steps = []
    resumed = train(recipe(), pairs, tmp_path / "cut", "cpu", lambda name, step, *_: steps.append((name, step)))
    assert (stop[0], 1) not in steps  # the first step is not made again
    assert weights(resumed) == weights(whole)


def test_a_folder_of_another_training(tmp_path, pairs):
    train(recipe(), pairs, tmp_path / "out", "cpu", quiet)
    with pytest.raises(RunError, match=r"holds another training \(recipe changed\): choose another --out"):
        train(recipe(seed=1), pairs, tmp_path / "out", "cpu", quiet)


def test_training_learns(tmp_path, pairs):
    losses = []
    train(
        recipe(
            autoencoder={"channels": 16, "latent_channels": 4, "size": 64, "crop": 64, "batch": 4, "steps": 60},
            phases=[{"size": 64, "steps": 1, "batch": 1}],
            warmup=5,
            checkpoint=1000,
        ),
        pairs,
        tmp_path / "out",
        "cpu",
        lambda name, step, _, loss: losses.append(loss),
    )
    assert np.mean(losses[50:60]) < 0.6 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('prior = "a"\n', "the key 'target' is missing"),
        ('prior = "a"\ntarget = "b"\nsteps = 3\n', "unknown key 'steps'"),
        ('prior = "a"\ntarget = "b"\ntemplates = ["{color}"]\n', "'color'; valid fields"),
        ('prior = "a"\ntarget = "b"\ntemplates = ["{colour:>999999999}"]\n', "'colour:>999999999'; valid fields"),
        ('prior = "a"\ntarget = "b"\ncanny_low = [200, 100]\n', "canny_low runs from 200 to 100"),
        ('prior = "a"\ntarget = "b"\n[network]\nchanels = 3\n', "did you mean 'channels'"),
    ],
)
def test_wrong_recipes(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"(?i)" + message):
        load_recipe(path)


def test_a_device_that_is_not_there():
    assert pick_device("cpu") == "cpu"
    with pytest.raises(RunError, match="'cudo'"):
        pick_device("cudo")
