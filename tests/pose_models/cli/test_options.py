"""The options of `pose-models`: their help is complete, their names are consistent, and wrong values end at once."""

import re

import click
import pytest
import torch
from click.testing import CliRunner

from pose_models.cli import image_options, main, options
from pose_models.data.corrupt import CORRUPTIONS
from pose_models.data.crop import CROPS, crop_rule
from pose_models.data.datasets import KINDS
from pose_models.data.occlude import LEVELS
from pose_models.solve import PRESETS


def commands(group, *words):
    listed = {}
    for name, command in group.commands.items():
        listed[*words, name] = command
        if isinstance(command, click.Group):
            listed |= commands(command, *words, name)
    return listed


ALL = commands(main)
OPTIONS = [
    pytest.param(option, id=f"{'-'.join(words)}-{option.name}")
    for words, command in ALL.items()
    for option in command.params
    if isinstance(option, click.Option)
]
UNCLEAR = re.compile(r"(Of|That|Between|Where|Which|Whether|How|What|As|By|At)\b")


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def option_of(*words, name):
    return next(option for option in ALL[words].params if option.name == name)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_help_is_a_complete_phrase(option):
    assert re.fullmatch(r"[A-Z].*\.", option.help or "", re.DOTALL)
    assert len(option.help.split()) >= 3
    assert not UNCLEAR.match(option.help)


@pytest.mark.parametrize("option", OPTIONS)
def test_defaults_are_stated_by_click_all_in_one_way(option):
    assert "[default" not in option.help
    has_one = isinstance(option.default, (bool, int, float, str)) and not (option.is_flag and not option.secondary_opts)
    record = option.get_help_record(click.Context(main))
    assert option.required or option.hidden or not has_one or "[default: " in record[1]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_two_names_and_what_it_refers_to_is_there(words):
    text = call(*words, "-h").output
    assert text == call(*words, "--help").output
    assert ("listed below" in " ".join(text.split())) == ("Images are named as KIND:PATH" in text)


def test_names_in_the_help_are_those_of_the_code():
    assert tuple(PRESETS) == options.SOLVERS
    assert image_options.CORRUPTIONS == CORRUPTIONS
    assert tuple(LEVELS) == image_options.OCCLUSION_LEVELS
    assert set(image_options.CROPS) == {*CROPS, "objectnet3d"}
    assert crop_rule("objectnet3d", "car")
    assert tuple(re.findall(r"^  ([\w-]+):PATH", image_options.IMAGE_KINDS, re.MULTILINE)) == KINDS


@pytest.mark.parametrize("words", [("evaluate",), ("bench", "adapt")])
def test_the_image_seed_has_one_name_and_accepts_the_old_one(words):
    seed = option_of(*words, name="image_seed")
    assert seed.opts == ["--image-seed", "--seed"]
    assert seed.get_help_record(click.Context(main))[0].startswith("--image-seed ")
    assert seed.get_error_hint(None) == "'--image-seed'"


def test_old_names_are_accepted_and_hidden():
    assert option_of("adapt", "cc3d", name="address").opts == ["--target", "--data"]
    backbone = option_of("adapt", "3duda", name="backbone")
    assert backbone.secondary_opts == ["--no-train-backbone", "--no-backbone"]
    assert backbone.get_help_record(click.Context(main))[0] == "--train-backbone / --no-train-backbone"
    optimizer = option_of("baseline", "train", name="optimiser")
    assert optimizer.opts == ["--optimizer", "--optimiser"]
    assert optimizer.get_help_record(click.Context(main))[0].startswith("--optimizer [")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--shards", "nowhere", "--out", "x"),
        ("thresholds", "--shards", "nowhere", "--model", "x"),
        ("bench", "raster"),
    ],
)
def test_a_missing_gpu_is_said_before_anything_is_read(words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = call(*words, "--device", "cuda")
    assert result.exit_code == 1
    assert "--device cuda: torch sees no CUDA device on this machine; use --device cpu" in result.output


def test_missing_packages_are_said_with_the_extra_that_has_them(monkeypatch):
    monkeypatch.setattr(options, "_PACKAGES", ("torch", "no_such_package"))
    result = call("train", "--shards", "nowhere", "--out", "x")
    assert result.exit_code == 1
    assert "no_such_package: not installed; run `pip install 'p3dgen[pose]'`" in result.output


def test_an_unknown_backbone_is_said_before_anything_is_read():
    given = ("train", "--shards", "nowhere", "--out", "x", "--backbone")
    near, far = call(*given, "resnet19"), call(*given, "##")
    assert (near.exit_code, far.exit_code) == (1, 1)
    assert "timm has no network 'resnet19'; did you mean 'resnet" in near.output
    assert "timm has no network '##'; timm.list_models() lists all of them" in far.output


def test_missing_weights_are_said_before_anything_is_read():
    result = call("train", "--shards", "nowhere", "--out", "x", "--weights", "nowhere.safetensors")
    assert result.exit_code == 1
    assert "cannot read weights nowhere.safetensors: no such file; give a .safetensors file, imagenet" in result.output


@pytest.mark.parametrize("text", ["0", "-3", "101%", "some"])
def test_a_wrong_number_of_labels_is_a_usage_error(text):
    result = call("finetune", "--model", "nowhere", "--real", "cars3d:x", "--out", "x", "--labels", text)
    assert result.exit_code == 2
    assert repr(text) in result.output
