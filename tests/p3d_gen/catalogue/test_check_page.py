"""The page and the sheet of `assets check`: every model is on both, and can be read on a telephone."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from p3d_gen.catalogue.check import Checked, Report
from p3d_gen.catalogue.check_page import write_pages
from p3d_gen.catalogue.views import LOOKS, SIDE_PX, draw_views
from tests.helpers.browser import started_browser

RED = (179, 38, 30)


def drawn(name, *warnings):
    box = trimesh.creation.box((0.5, 0.7, 0.4))
    parts = np.zeros(len(box.faces), np.uint8)
    report = Report(category="chair", id=name, address=f"{name}.obj", licence="CC0-1.0", warnings=warnings)
    return Checked(report=report, views=draw_views(box.vertices, box.faces.astype(np.int32), parts))


def unusable(name, why):
    return Checked(report=Report(category="chair", id=name, address=f"{name}.glb", licence="CC0-1.0", error=why))


def sheet(tmp_path, *checked):
    _, path = write_pages(tmp_path, "größe", checked)
    return np.asarray(Image.open(path))


def red_rows(picture):
    return np.unique(np.nonzero((picture == RED).all(-1))[0])


def test_models_that_cannot_be_used_are_on_the_sheet_with_the_reason(tmp_path):
    alone = sheet(tmp_path, drawn("a"))
    assert len(red_rows(alone)) == 0
    both = sheet(tmp_path, drawn("a"), unusable("b", "b.glb is cut short: export it again"))
    assert both.shape[1] == alone.shape[1]
    np.testing.assert_array_equal(both[: len(alone)], alone)
    assert red_rows(both).min() > len(alone)
    longer = sheet(tmp_path, drawn("a"), unusable("b", "this is a long reason " * 40))
    assert len(longer) > len(both)
    only = sheet(tmp_path, unusable("b", "b.glb is cut short: export it again"))
    assert len(red_rows(only)) > 5


def test_no_warning_falls_off_the_sheet(tmp_path):
    warnings = [f"warning {number} that takes a line" for number in range(30)]
    few, many = sheet(tmp_path, drawn("a", *warnings[:3])), sheet(tmp_path, drawn("a", *warnings))
    assert red_rows(many).max() - red_rows(few).max() == 27 * 17
    assert len(many) > SIDE_PX + 15 * 17


@pytest.fixture(scope="module")
def browser():
    with started_browser() as started:
        yield started


def test_labels_can_be_read_on_a_telephone(browser, tmp_path):
    page, _ = write_pages(tmp_path, "größe", [drawn("a"), unusable("b", "cut short")])
    window = browser.new_page(viewport={"width": 390, "height": 800}, bypass_csp=True)  # wait_for_function evaluates
    window.goto(page.as_uri())
    assert window.evaluate("document.documentElement.scrollWidth") == 390
    strip = window.locator(".views")
    shown, whole, image = strip.evaluate("e => [e.clientWidth, e.scrollWidth, e.firstElementChild.clientWidth]")
    assert shown < 390
    assert whole == image >= 0.8 * len(LOOKS) * SIDE_PX
    strip.focus()
    window.keyboard.press("ArrowRight")
    window.wait_for_function("document.querySelector('.views').scrollLeft > 0")
    window.set_viewport_size({"width": 1500, "height": 900})
    assert strip.evaluate("e => e.scrollWidth - e.clientWidth") == 0
