"""Texts in pictures hold no letter that their font draws as a box."""

import numpy as np
import pytest

from p3d_gen.core.lettering import drawable, font
from pose_models.report.draw import blank, text_width, write_texts


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("car/a-1_b (x: 3 %) 20° ±2", "car/a-1_b (x: 3 %) 20° ±2"),
        ("größe-Ångström", "grosse-Angstrom"),
        ("gro\N{COMBINING DIAERESIS}ße", "grosse"),  # as macOS writes names of files
        ("Søren Łódź \N{MULTIPLICATION SIGN} cœur", "Soren Lodz x coeur"),
        ("\N{CJK UNIFIED IDEOGRAPH-6905}1", "?1"),
    ],
)
def test_no_letter_is_a_box(text, drawn):
    assert drawable(text) == drawn
    box = bytes(font(16).getmask("\uffff"))
    assert box not in [bytes(font(16).getmask(letter)) for letter in drawn]


def test_pictures_of_reports_are_written_so():
    pictures = []
    for text in ("Stühle", "Stuhle"):
        pictures.append(blank(30, 90, (255, 255, 255)))
        write_texts(pictures[-1], [(2, 15, text, "lm")], 14, (0, 0, 0))
    assert pictures[0].min() == 0
    np.testing.assert_array_equal(*pictures)
    assert text_width("Stühle", 14) == text_width("Stuhle", 14)
