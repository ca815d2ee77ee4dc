"""The report's page in a real browser: it needs nothing else, its controls do what they say, its lines lie where the
labels say."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from p3d_gen.core.codecs import decode_npz
from p3d_gen.core.geometry import project, transform
from p3d_gen.core.silhouette import camera_of
from p3d_gen.pack.stage import pack_shard
from p3d_gen.report import write_report
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import MANIFEST, make_assets
from tests.helpers.browser import started_browser
from tests.helpers.fake_runs import fake_renders

SAMPLES = 8
HOSTILE = "</script><img src=x onerror=document.title=1> {colour} {category}"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A packed run with outlines and cuboids, the folder of its report, and key -> (labels, cuboid)."""
    root = tmp_path_factory.mktemp("gallery")
    make_assets(root / "assets")
    text = MANIFEST.replace("samples_per_category = 3", f"samples_per_category = {SAMPLES}")
    text = text.replace("shard_size = 2", "shard_size = 4").replace("focal_px = 400", "focal_px = 300")
    text = text.replace("resolution = 128", f"resolution = 128\nprompt = {json.dumps(HOSTILE)}")
    (root / "manifest.toml").write_text(text + '[output]\nmembers = ["mask", "cuboid"]\n')
    run = create_run(root / "run", root / "manifest.toml")
    fake_renders(run)
    for shard in run.all_shards():
        stylize_shard(str(run.root), shard)
        pack_shard(str(run.root), shard)
    samples = {
        key: (json.loads(members["json"]), decode_npz(members["cuboid.npz"]))
        for shard in run.all_shards()
        for key, members in read_shard(run.tar("shards", shard))
    }
    write_report(run)
    return run, samples


@pytest.fixture(scope="module")
def browser():
    with started_browser() as started:
        yield started


@pytest.fixture(scope="module")
def window(browser):
    """A window, and what pages say on its console or ask from elsewhere."""
    window, said = browser.new_page(), []
    window.on("console", lambda message: said.append(message.text))
    window.on("pageerror", lambda error: said.append(str(error)))
    window.on("request", lambda request: said.append(request.url) if not request.url.startswith("data:") else None)
    return window, said


@pytest.fixture
def page(made, window):
    """The report as it is opened; any message, error or request for anything else fails the test."""
    run, _ = made
    window, said = window
    window.set_viewport_size({"width": 1200, "height": 900})
    url = (run.root / "report.html").as_uri()
    window.goto(url)
    yield window
    assert said == [url]
    said.clear()


def shown(page):
    """The keys of the samples that are seen, in their order."""
    return page.locator(".card:visible").evaluate_all("cards => cards.map(card => card.dataset.key)")


def by_survival(samples):
    return sorted(samples, key=lambda key: (samples[key][0]["survival"], key))


def test_the_page_loads_alone_and_the_worst_comes_first(made, page):
    _, samples = made
    assert page.title() == "Report of run"
    assert len({labels["survival"] for labels, _ in samples.values()}) > SAMPLES
    worst_first = by_survival(samples)
    assert shown(page) == worst_first[:12]
    assert page.get_by_role("status").inner_text() == "12 of 16 shown"
    page.get_by_role("button", name="Show more").click()
    assert shown(page) == worst_first
    assert not page.get_by_role("button", name="Show more").is_visible()
    first = page.locator(".card").first
    assert f"survival {samples[worst_first[0]][0]['survival']:.2f}" in first.inner_text()
    assert first.locator("figcaption").all_inner_texts() == ["render", "edges", "stylized", "composite"]
    sizes = page.locator(".card img:visible").evaluate_all("all => all.map(each => each.naturalWidth)")
    assert min(sizes) == 96


def test_text_of_the_run_is_never_code(made, page):
    _, samples = made
    prompt = samples[by_survival(samples)[0]][0]["prompt"]
    assert prompt.startswith("</script><img")
    assert prompt in page.locator(".card").first.inner_text()
    assert page.locator("script").count() == 1
    assert page.locator("img:not([src^='data:image/jpeg;base64,'])").count() == 0
    allowed = page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert allowed.startswith("default-src 'none'; img-src data:;")


def test_filters_leave_what_they_name(made, page):
    _, samples = made
    ordered = by_survival(samples)

    def keys(**wanted):
        return [key for key in ordered if all(samples[key][0][name] == value for name, value in wanted.items())]

    category, cads, colours = (page.get_by_role("combobox", name=name) for name in ("category", "CAD", "colour"))
    category.select_option("chair")
    assert shown(page) == keys(category="chair")
    assert page.get_by_role("status").inner_text() == "8 of 8 shown, 16 in all"
    cads.select_option("chair/m1")
    assert shown(page) == keys(category="chair", cad_id="m1")
    category.select_option("car")
    assert cads.input_value() == ""
    assert shown(page) == keys(category="car")
    assert page.locator("optgroup[label=chair]").evaluate("group => group.disabled")
    page.get_by_role("button", name="Reset").click()
    assert shown(page) == ordered[:12]
    colour = samples[ordered[-1]][0]["colour"]
    colours.select_option(colour)
    assert shown(page) == keys(colour=colour)
    page.get_by_role("button", name="Reset").click()
    least, most = (round(samples[ordered[i]][0]["survival"], 3) for i in (3, 9))
    page.get_by_label("survival from").fill(str(least))
    page.get_by_label("to", exact=True).fill(str(most))
    assert shown(page) == [key for key in ordered if least <= samples[key][0]["survival"] <= most]
    page.get_by_label("to", exact=True).fill("0")
    assert shown(page) == []
    assert page.get_by_role("status").inner_text() == "0 of 0 shown, 16 in all"


def test_orders(made, page):
    _, samples = made
    page.get_by_role("combobox", name="order").select_option("by key")
    assert shown(page) == sorted(samples)[:12]
    page.get_by_role("combobox", name="order").select_option("worst mask IoU first")
    assert shown(page) == sorted(samples, key=lambda key: (samples[key][0]["mask_iou"], key))[:12]


LINES = {
    "axes": (".axis-x", ".axis-y", ".axis-z"),
    "3D box": (".box", ".front"),
    "mask outline": (".outline",),
    "cuboid vertices": (".cuboid",),
}


def test_lines_are_shown_and_hidden_over_all_pictures_by_the_keyboard(page):
    card = page.locator(".card:visible").first
    page.get_by_label("axes").focus()
    for label, kinds in LINES.items():
        box = page.get_by_label(label)
        assert box.evaluate("box => box === document.activeElement")
        begins = label in ("axes", "3D box")
        for expected in (begins, not begins, begins):
            displays = card.locator(",".join(kinds)).evaluate_all("all => all.map(e => getComputedStyle(e).display)")
            assert displays == ["inline" if expected else "none"] * 4 * len(kinds)
            assert box.is_checked() == expected
            page.keyboard.press("Space")
        page.keyboard.press("Space")
        assert box.is_checked() == begins
        page.keyboard.press("Tab")


def points(path):
    """The points (N, 2) of an SVG path without curves."""
    return np.array(re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path), dtype=float)


PATHS = """cards => cards.map(card => [card.dataset.key, Object.fromEntries(
    [...[...card.querySelectorAll(".overlay")].at(-1).children].map(
        path => [path.getAttribute("class"), path.getAttribute("d")]))])"""


def test_lines_lie_where_the_labels_say(made, page):
    _, samples = made
    drawn = page.locator(".card").evaluate_all(PATHS)
    assert len(drawn) == len(samples)
    for key, path in drawn:
        labels, cuboid = samples[key]
        corners = np.array(labels["bbox3d_xy"])
        front = points(path["front"]).reshape(4, 2, 2)
        np.testing.assert_allclose(front, corners[[[0, 1], [0, 4], [1, 5], [4, 5]]], atol=0.051)
        assert len(points(path["box"])) == 16
        gaps = np.linalg.norm(points(path["box"])[:, None] - corners, axis=-1)
        assert gaps.min(axis=1).max() < 0.08
        reach = 0.7 * np.array(labels["object_extent_xyz"])
        tips = project(transform(np.array(labels["cam_T_obj"]), np.diag(reach)), camera_of(labels))
        for name, tip in zip("xyz", tips, strict=True):
            np.testing.assert_allclose(points(path[f"axis-{name}"])[1], tip, atol=0.051)
        x0, y0, x1, y1 = labels["bbox_xyxy"]
        outline = points(path["outline"])
        box = [*(outline.min(axis=0) - 0.5), *(outline.max(axis=0) + 0.5)]
        np.testing.assert_allclose(box, [x0, y0, x1, y1], atol=0.5)
        np.testing.assert_allclose(points(path["cuboid"]), cuboid["pixels"][cuboid["visible"]], atol=0.051)


ON_SCREEN = """path => Array.from({length: 400}, (_, i) => {
    const point = path.getPointAtLength(path.getTotalLength() * i / 399).matrixTransform(path.getScreenCTM());
    return [point.x, point.y];
})"""


def test_lines_cover_the_pictures(made, page):
    """On the screen a corner of the box is where the picture's pixel is."""
    _, samples = made
    card = page.locator(".card:visible").first
    labels, _ = samples[card.get_attribute("data-key")]
    height, width = labels["image_hw"]
    corners = np.array(labels["bbox3d_xy"])[[0, 1, 4, 5]]
    for frame in card.locator(".frame").all():
        picture, lines = frame.locator("img").bounding_box(), frame.locator(".overlay").bounding_box()
        assert list(lines.values()) == pytest.approx(list(picture.values()), abs=0.1)
        scale = np.array([picture["width"] / width, picture["height"] / height])
        on_screen = corners * scale + [picture["x"], picture["y"]]
        front = np.array(frame.locator(".front").evaluate(ON_SCREEN))
        gaps = np.linalg.norm(front[:, None] - on_screen, axis=-1)
        assert gaps.min(axis=0).max() < 1


def test_everything_has_a_name_and_a_place(page):
    assert page.locator("img:not([alt])").count() == 0
    named = "all => all.every(each => each.labels.length > 0)"
    assert page.locator("form input, form select").evaluate_all(named)
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(each => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    targets = page.locator("nav a").evaluate_all("all => all.map(each => document.getElementById(each.hash.slice(1)))")
    assert len(targets) > 8
    assert None not in targets
    ids = page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))


def test_narrow_windows_and_dark_ones(page):
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        style = page.evaluate("(style => [style.backgroundColor, style.color])(getComputedStyle(document.body))")
        ground, ink = (sum(map(int, re.findall(r"\d+", colour))) for colour in style)
        assert (ground > ink) == (scheme == "light")
    page.emulate_media(color_scheme="light")


def test_without_scripts_everything_is_there(made, browser):
    run, samples = made
    context = browser.new_context(java_script_enabled=False)
    window = context.new_page()
    window.goto((run.root / "report.html").as_uri())
    assert [card.get_attribute("data-key") for card in window.locator(".card").all()] == by_survival(samples)
    assert window.locator(".card:visible").count() == len(samples)
    assert not window.locator("form").is_visible()
    context.close()
