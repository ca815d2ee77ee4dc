"""The report of runs that are not finished, of several stylizations and composites, and which samples it chooses."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from p3d_gen.core.codecs import decode_image
from p3d_gen.pack.stage import pack_shard
from p3d_gen.report import follow, write_report
from p3d_gen.report.collect import read_ledgers, read_samples
from p3d_gen.report.gallery import choose, sample_gallery
from p3d_gen.report.ledgers import counts_section, making_section, timings_section
from p3d_gen.report.looks import looks_section
from p3d_gen.report.svg import colour_plane, named_bars
from p3d_gen.run.ledgers import Failure
from p3d_gen.run.remote import place
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import create_stylization, open_stylization
from tests.helpers.assets import edit
from tests.helpers.fake_runs import fake_renders
from tests.helpers.records import edit_record


@pytest.fixture
def rendered(run):
    """A run all of whose samples are rendered."""
    fake_renders(run)
    return run


def finish(run, name=""):
    """Stylise and pack all shards."""
    for shard in run.all_shards():
        stylize_shard(str(run.root), shard, name)
        pack_shard(str(run.root), shard, name)


def cards_of(run, name="", count=100):
    what = open_stylization(run, name)
    ledgers = read_ledgers(run, what)
    return sample_gallery(run, what, ledgers, read_samples(run, what, ledgers), count).cards


def test_every_shard_is_shown_as_far_as_it_has_come(rendered):
    first, second, *_ = rendered.all_shards()
    for shard in (first, second):
        stylize_shard(str(rendered.root), shard)
    pack_shard(str(rendered.root), first)
    text = write_report(rendered).read_text()
    assert "2 packed, 1 stylized, 3 rendered samples: car, chair." in text
    assert "The run is not finished: 1 of 4 shards are packed." in text
    pictures = {card.key: [name for name, _ in card.pictures] for card in cards_of(rendered)}
    made = ["render", "edges", "stylized", "composite"]
    assert pictures == {
        **{f"car-00000{i}": made for i in (0, 1)},
        "car-000002": made[:3],
        **{f"chair-00000{i}": made[:1] for i in range(3)},
    }
    assert [card.survival is None for card in cards_of(rendered)] == [False] * 3 + [True] * 3


def test_the_report_follows_the_run(rendered, monkeypatch):
    """Between two looks the next stage of the next shard is made; the report is written whenever that is so."""
    steps = iter([(stage, shard) for stage in (stylize_shard, pack_shard) for shard in rendered.all_shards()])

    def work(seconds):
        assert seconds >= 5
        stage, shard = next(steps)
        stage(str(rendered.root), shard)

    monkeypatch.setattr(follow.time, "sleep", work)
    leads = [
        re.search(r"<header>.*?<p>(.*?)</p>", path.read_text(), re.DOTALL)[1]
        for path in follow.follow_run(rendered.root, count=0)
    ]
    assert len(leads) == 9
    assert leads[0].startswith("6 rendered samples")
    assert leads[1].startswith("2 stylized, 4 rendered samples")
    assert leads[5].startswith("2 packed, 4 stylized samples")
    assert leads[8].startswith("6 packed samples")
    assert "not finished" not in leads[8]
    assert next(steps, None) is None


def test_a_run_under_a_url_has_the_same_report(tmp_path, manifest_path):
    texts = []
    for root in (tmp_path / "same", place("memory://report/same")):
        run = create_run(root, manifest_path)
        fake_renders(run)
        finish(run)
        for stage, shard in product(("render", "stylize", "shards"), run.all_shards()):
            path = run.tar(stage, shard).with_suffix(".json")
            edit_record(path, seconds=1.0)
        texts.append(write_report(run).read_text())
    assert texts[0] == texts[1]


def test_each_composite_is_a_sample_with_the_pictures_of_its_render(tmp_path, manifest_path):
    edit(manifest_path, ("[background]", "[background]\nper_render = 2"))
    run = create_run(tmp_path / "twice", manifest_path)
    fake_renders(run)
    finish(run)
    cards = cards_of(run)
    assert len(cards) == 12
    assert {card.key for card in cards} >= {"car-000000-b0", "car-000000-b1"}
    assert all(len(card.pictures) == 4 and card.overlay.outline for card in cards)
    assert "2 composites of each render are packed." in write_report(run).read_text()


def test_a_named_stylization_has_a_report_of_its_own(rendered):
    given = Stylize(stylizer="none", resolution=128, colours=("red",))
    create_stylization(rendered, "few", (given, rendered.base_dir))
    finish(rendered, "few")
    path = write_report(rendered, "few")
    assert path == rendered.root / "report-few.html"
    text = path.read_text()
    assert "6 packed samples" in text
    assert "Stylization few." in text
    assert {card.colour for card in cards_of(rendered, "few")} == {"red"}


def samples_of(survivals, first=0):
    return [{"key": f"car-{first + i:06d}", "survival": value} for i, value in enumerate(survivals)]


def test_half_of_the_gallery_are_the_worst():
    scores = np.random.default_rng([7, 1]).random(100)
    chosen = choose({"car": samples_of(scores)}, 21)
    assert len(chosen) == 21
    worst = [f"car-{i:06d}" for i in np.argsort(scores)[:11]]
    assert list(chosen)[:11] == worst
    assert len(choose({"car": samples_of(scores)}, 200)) == 100
    assert choose({"car": samples_of(scores)}, 0) == {}


def test_the_choice_by_chance_is_kept_while_samples_are_added():
    early = [{"key": each["key"]} for each in samples_of([0.5] * 50)]
    late = early + [{"key": each["key"]} for each in samples_of([0.5] * 50, first=50)]
    before, after = (set(choose({"car": samples}, 20)) for samples in (early, late))
    assert after & {each["key"] for each in early} <= before
    assert 4 <= len(after & before) <= 16


def test_reasons_that_differ_in_numbers_alone_are_one(rendered):
    ledgers = read_ledgers(rendered, open_stylization(rendered))
    first, second, *_ = rendered.all_shards()
    reasons = {first: ["given up, at best 0.12", "no model"], second: ["given up, at best 0.05"]}
    for shard, told in reasons.items():
        failures = tuple(Failure(key=f"{shard}-{i}", reason=reason) for i, reason in enumerate(told))
        ledgers["render"][shard] = replace(ledgers["render"][shard], failures=failures)
    table = next(t for t in counts_section(rendered, ledgers).tables if t.caption == "Reasons of failures")
    assert table.rows == (
        ("given up, at best 0.12", "render", 2, f"{first}-0"),
        ("no model", "render", 1, f"{first}-1"),
    )


def test_timings_and_commands_are_those_of_the_ledgers(rendered):
    seconds = dict(zip(rendered.all_shards(), (10.0, 4.0, 7000.0, 2.0), strict=True))
    for shard, value in seconds.items():
        path = rendered.tar("render", shard).with_suffix(".json")
        changed = {
            "seconds": value,
            "model_seconds": value / 4,
            "command": "p3dgen run m.toml",
            "made_with": {"bpy": "4"},
        }
        edit_record(path, **changed)
    ledgers = read_ledgers(rendered, open_stylization(rendered))
    (row,) = timings_section(rendered, ledgers).tables[0].rows
    assert row == ("render", "4 of 4", "1.95 h", "4.50 s", "3500.00 s", "chair-00000", "25%")
    commands, versions = making_section(ledgers).tables
    assert commands.rows == (("p3dgen run m.toml", "render", 4),)
    assert versions.rows == (("bpy 4", "render", 4),)


def test_colours_are_those_of_the_objects_pixels(rendered):
    what = open_stylization(rendered)
    ledgers = read_ledgers(rendered, what)
    labels = read_samples(rendered, what, ledgers)
    section = looks_section(rendered, what, ledgers, labels, rendered.manifest.stylize.colours)
    assert "measured on all samples" in section.text
    charts = {figure.title: dict(figure.charts) for figure in section.figures}
    means = set()
    for shard in rendered.shards("car"):
        for _, members in read_shard(rendered.tar("render", shard)):
            rgba, mask = decode_image(members["render.png"]), decode_image(members["mask.png"]) > 0
            means.add("#{:02x}{:02x}{:02x}".format(*np.rint(rgba[mask, :3].mean(axis=0)).astype(int)))
    assert set(re.findall(r'fill="(#\w{6})"', charts["car"]["mean colour of the object"])) == means
    asked = [each["colour"] for each in labels["car"]]
    told = re.findall(r">(\w+)</text><path.*?<text[^>]*>(\d+)<", charts["car"]["requested colours"])
    assert told == [(name, str(asked.count(name))) for name in rendered.manifest.stylize.colours]


def test_dots_and_bars_lie_where_they_should():
    lab = np.array([[50.0, 0.0, 0.0], [50.0, 40.0, 0.0], [50.0, 0.0, -40.0]])
    plane = colour_plane("p", lab, np.zeros((3, 3), np.uint8))
    x, y = np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', plane), dtype=float).T
    reach = 190 / 2 - 3
    np.testing.assert_allclose(x, 191 + np.array([0, reach, 0]), atol=0.06)
    np.testing.assert_allclose(y, 103 + np.array([0, 0, reach]), atol=0.06)
    bars = named_bars("b", {"red": 4, "<b>": 1, "none": 0})
    assert [float(length) for length in re.findall(r"d=\"M84 \d+h([\d.]+)v", bars)] == [236, 59, 0]
    assert "&lt;b&gt;" in bars
