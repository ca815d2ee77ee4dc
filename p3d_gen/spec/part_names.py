"""What the parts of CAD models are made of, by the names that artists and exporters give their materials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from p3d_gen.core.errors import AssetError, did_you_mean
from p3d_gen.spec.sections import read_toml
from p3d_gen.spec.side_files import side_file

PAINT = "paint"
PARTS_FILE = "parts.toml"
_DEPTH = 4  # folders from a model's own one up that may hold the map: <source>/<category>/<id>/models/model.obj
_KINDS = {
    "glass": "glass glas glazing window windscreen windshield pane",
    "rubber": "rubber tire tyre wheel tread",
    "metal": "metal steel chrome aluminium aluminum iron brass copper gold silver rim hub hubcap alloy frame exhaust",
    "light": "light lamp headlight headlamp bulb",
    "taillight": "taillight taillamp brakelight brakelamp rearlight rearlamp stoplight backlight",
    "plastic": "plastic vinyl pvc abs",
    "wood": "wood wooden timber oak walnut pine beech teak mahogany plywood",
    "fabric": "fabric cloth textile upholstery cushion leather canvas velvet wool linen",
    "paint": "paint carpaint bodypaint lacquer body bodywork chassis",
}
_WORDS = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PLACES = frozenset(
    ("left", "right", "front", "rear", "top", "bottom", "upper", "lower", "inner", "outer", "mat", "material")
)
_ADJECTIVE = "light"
_LEAST = 5  # letters of a word that may be a part of a longer one
MATERIAL_KINDS = tuple(_KINDS)


def _kind(word: str) -> str:
    forms = (word, word.removesuffix("s"), word.removesuffix("es"))
    if known := next((form for form in forms if form in _WORDS), ""):
        return _WORDS[known]
    long = [known for known in _WORDS if len(known) >= _LEAST]
    inside = [known for known in long if forms[1].endswith(known) or (word.startswith(known) and known != _ADJECTIVE)]
    return _WORDS[max(inside, key=len)] if inside else ""


def kind_of_part(name: str) -> str:
    """Return the kind of surface that a part has by its name, one of `MATERIAL_KINDS`; "" if no word of it is known.

    The last word that is known counts, as in "wheel rim"; two words may be one, as in "tail light". "Light" counts at
    the end only: before another word it says how dark that is.
    """
    if name.lower() in _KINDS:
        return name.lower()
    words = [word.lower() for word in _WORD.findall(name)]
    for first, second in reversed(list(pairwise(words))):
        if kind := _WORDS.get(first + second) or _WORDS.get(first + second.removesuffix("s")):
            return kind
    words = [word for word in words if len(word) > 1 and word not in _PLACES]
    for place, word in reversed(list(enumerate(words, start=1))):
        if (kind := _kind(word)) and (word != _ADJECTIVE or place == len(words)):
            return kind
    return ""


def _maps(model: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Yield the maps that hold for a model's file, those that count most last."""
    for folder in reversed(list(model.absolute().parents)[:_DEPTH]):
        if (path := folder / PARTS_FILE).is_file():
            yield path, read_toml(path, AssetError)
    yield model, side_file(model).parts or {}


def stated_parts(model: Path) -> dict[str, str]:
    """Return the kinds of parts, by their names, that `parts.toml` and side files state for a model's file.

    A line of `parts.toml`, in the model's folder or above it, is `"<name of a material>" = "<kind>"`. AssetError names
    the file and the line that is not valid.
    """
    parts: dict[str, str] = {}
    for path, stated in _maps(model):
        for name, kind in stated.items():
            if kind not in MATERIAL_KINDS:
                raise AssetError(
                    f"{path}: {name} = {kind!r} is not a kind of surface{did_you_mean(str(kind), MATERIAL_KINDS)}"
                )
            parts[name] = kind
    return parts
