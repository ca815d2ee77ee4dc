"""Prompts: what is filled in, which stream draws what, and that faults are named before anything is made."""

import pytest

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import ManifestError
from p3d_gen.spec.inventory import Asset, Inventory
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.prompts import check_words, load_templates, style


def manifest(**changes):
    data = {"categories": ["car", "chair"], "samples_per_category": 10, "texture": {"kind": "realistic"}}
    return parse_manifest({**data, **changes}, "m.toml")


def styles(count, settings, templates=None, attempt=0, **changes):
    made = manifest(**changes)
    templates = templates or (settings.prompt,)
    return [style(made, settings, templates, BUILTIN["car"], i, attempt) for i in range(count)]


def test_the_same_every_time_and_each_sample_its_own():
    settings = Stylize()
    assert styles(50, settings) == styles(50, settings)
    assert styles(50, settings) != styles(50, settings, seed=1)
    assert len({each.seed for each in styles(50, settings)}) == 50


def test_the_colour_is_that_of_the_paint():
    inventory = Inventory(
        cads={"car": (Asset(id="m", address="m"),)},
        textures=(),
        hdris=(),
        backgrounds=(Asset(id="b", address="b"),),
    )
    made = manifest()
    for i, asked in enumerate(styles(100, made.stylize)):
        assert asked.colour == spec(made, inventory, "car", i).colour
        assert asked.prompt == f"{asked.colour} car"


def test_what_is_drawn_for_one_thing_does_not_disturb_the_others():
    plain, wordy = Stylize(), Stylize(prompt="a {colour} {word}", words={"car": ("coupé", "van", "estate")})
    for a, b in zip(styles(60, plain), styles(60, wordy), strict=True):
        assert (a.colour, a.seed) == (b.colour, b.seed)
    again = styles(60, wordy, attempt=1)
    assert [each.prompt for each in again] == [each.prompt for each in styles(60, wordy)]
    many = styles(60, wordy, templates=tuple(f"{i} {{colour}} {{word}}" for i in range(7)))
    assert [each.seed for each in many] == [each.seed for each in styles(60, wordy)]


def test_every_attempt_has_its_own_seed_and_the_first_is_the_first():
    seeds = [[style(manifest(), Stylize(), ("car",), BUILTIN["car"], i, n).seed for n in range(5)] for i in range(40)]
    assert len({seed for each in seeds for seed in each}) == 200


def test_words_and_lines_are_all_drawn():
    settings = Stylize(prompt="a {colour} {word}", words={"car": ("coupé", "van", "estate"), "chair": ("stool",)})
    drawn = styles(300, settings, templates=("{word}", "the {word}"))
    counts = {prompt: [each.prompt for each in drawn].count(prompt) for prompt in {each.prompt for each in drawn}}
    assert set(counts) == {f"{start}{word}" for start in ("", "the ") for word in ("coupé", "van", "estate")}
    assert min(counts.values()) > 25


def test_a_prompt_file(tmp_path):
    (tmp_path / "prompts.txt").write_text("a {colour} {category} in the rain\n\n  {category}, studio  \n")
    settings = Stylize(prompt_file="prompts.txt")
    assert load_templates(settings, tmp_path) == ("a {colour} {category} in the rain", "{category}, studio")
    assert load_templates(Stylize(prompt="{category}"), tmp_path) == ("{category}",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"fine {colour}\n\na {color} car\n",
            r"prompts\.txt, line 3: template 'a \{color\} car'.*valid fields: \{colour\}",
        ),
        (b"{colour", r"prompts\.txt, line 1: .*expected '\}'"),
        (b"{}", r"line 1"),
        (b"{category}\n{word:>1000000000}", r"prompts\.txt, line 2: .*'word:>1000000000'; valid fields"),
        (b"\n \n", r"prompts\.txt holds no prompt"),
        (b"\xff\xfe\x00", r"prompts\.txt cannot be read as text"),
        (None, r"stylize\.prompt_file = 'prompts\.txt': there is no file"),
    ],
)
def test_faults_in_a_prompt_file(tmp_path, content, said):
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    with pytest.raises(ManifestError, match=said):
        load_templates(Stylize(prompt_file="prompts.txt"), tmp_path)


def test_words_that_are_missing():
    settings = Stylize(words={"car": ("van",)})
    check_words(settings, ("a {word}",), ["car"])
    check_words(settings, ("a {category}",), ["car", "chair"])
    with pytest.raises(ManifestError, match=r"'a \{word\}' asks for a \{word\} of 'chair'.*stylize\.words\.chair"):
        check_words(settings, ("{category}", "a {word}"), ["car", "chair"])
