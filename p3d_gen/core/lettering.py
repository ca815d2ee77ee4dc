"""The letters in pictures: Pillow's own font, and the closest spelling of what it cannot draw."""

from __future__ import annotations

import unicodedata
from functools import cache

from PIL import ImageFont

# Letters and signs that Unicode does not take apart.
_SPELLED = {
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ð": "d",
    "þ": "th",
    "ı": "i",
    "\N{MICRO SIGN}": "u",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HYPHEN}": "-",
}
_NO_LETTER = "\uffff"


@cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font of all texts in pictures, which holds little more than ASCII."""
    return ImageFont.load_default(size)


@cache
def _is_drawn(letter: str) -> bool:
    return letter.isascii() or bytes(font(24).getmask(letter)) != bytes(font(24).getmask(_NO_LETTER))


@cache
def _spelled(letter: str) -> str:
    if _is_drawn(letter):
        return letter
    pieces = _SPELLED.get(letter) or unicodedata.normalize("NFKD", letter)
    kept = "".join(piece for piece in pieces if _is_drawn(piece))
    return kept or ("" if unicodedata.combining(letter) else "?")


def drawable(text: str) -> str:
    """Return a text in letters of `font`: "o" for "ö", "ss" for "ß", and "?" for those that are like no other."""
    return "".join(_spelled(letter) for letter in unicodedata.normalize("NFC", text))
