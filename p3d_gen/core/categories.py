"""Categories of objects: the definition of one, and the twelve of PASCAL3D+ that are built in.

A category is data. A manifest's [category.NAME] or a category.toml next to the CAD models defines another one, or
changes a built-in one; runs, datasets and models carry what they were made with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.symmetry import Symmetry

# Names of files, keys of samples and configurations of data sets begin with a category's name.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_RESERVED = ("default", "quarantined")


def check_name(name: str) -> str:
    """Return a category's name. ConfigError if keys and files cannot be named by it."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a category: use lower-case letters, digits and _, a letter first, "
            "40 characters at most"
        )
    if name in _RESERVED:
        raise ConfigError(f"{name!r} cannot be the name of a category, it has another meaning: choose another one")
    return name


def is_name(name: str) -> bool:
    """Return True if a category may have this name."""
    return _NAME.fullmatch(name) is not None and name not in _RESERVED


@dataclass(frozen=True, kw_only=True)
class CategoryDefinition:
    """Everything about a category that the CAD models themselves do not say; the defaults are those of an unknown one.

    words: the words that prompts call it by; () for its name, with spaces for underscores.
    elevation_deg: mean, standard deviation, minimum and maximum of the camera's elevation, a truncated normal.
    distance, fov_deg, fill: ranges of the distance between camera and object in box diagonals, of the field of view,
    and of the share of the frame that the object takes; None for those of the manifest's camera.
    diagonal_m: diagonal of an object's box in metres, for pose models; None if that is not known.
    symmetry: turns that leave its shapes as they are; a model may state its own.
    keypoints: names of its keypoints, in the order in which exports list them; models may have further ones.
    pose: `upright` for cameras around an object that stands, `any` for all rotations alike.
    occluder: True if its embedded shapes stand in front of other objects by default.
    colourable: parts that have the sample's colour besides paint and parts with unknown names.
    glass: `clear` if one sees through its parts of glass in realistic materials, else `dark`.
    """

    name: str
    words: tuple[str, ...] = ()
    elevation_deg: tuple[float, float, float, float] = (20.0, 25.0, -10.0, 60.0)
    distance: tuple[float, float] | None = None
    fov_deg: tuple[float, float] | None = None
    fill: tuple[float, float] | None = None
    diagonal_m: float | None = None
    symmetry: Symmetry = field(default=Symmetry.NONE)
    keypoints: tuple[str, ...] = ()
    pose: Literal["upright", "any"] = "upright"
    occluder: bool = False
    colourable: tuple[str, ...] = ()
    glass: Literal["clear", "dark"] = "clear"

    @property
    def prompt_words(self) -> tuple[str, ...]:
        """Return the words by which a prompt may call it, at least one."""
        return self.words or (self.name.replace("_", " "),)

    def to_json(self) -> dict[str, Any]:
        """Return the definition as JSON, without what an unknown category has by default."""
        default = CategoryDefinition(name=self.name)
        changed = [each.name for each in fields(self) if getattr(self, each.name) != getattr(default, each.name)]
        values = {name: _as_json(getattr(self, name)) for name in changed}
        return {"name": self.name, **values}

    @staticmethod
    def from_json(data: object) -> CategoryDefinition:
        """Return the definition of the JSON that `to_json` returned. DataError for any other."""
        if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
            raise DataError(f"{data!r} is not the definition of a category: it has no name")
        known = {each.name: each.type for each in fields(CategoryDefinition)}
        if unknown := [key for key in data if key not in known]:
            raise DataError(
                f"the definition of {data['name']!r} has the unknown key {unknown[0]!r}; use a newer p3dgen"
            )
        values: dict[str, Any] = {
            key: Symmetry.parse(value) if key == "symmetry" else _frozen(value) for key, value in data.items()
        }
        check_name(data["name"])
        return CategoryDefinition(**values)


def _as_json(value: Any) -> Any:
    if isinstance(value, Symmetry):
        return value.texts()
    return list(value) if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def definition_of(category: str, own: Mapping[str, CategoryDefinition]) -> CategoryDefinition:
    """Return the definition of a category: one of one's own, else the built-in one, else the defaults."""
    return own.get(category) or BUILTIN.get(category) or CategoryDefinition(name=category)


def own_definitions(definitions: Iterable[CategoryDefinition]) -> dict[str, CategoryDefinition]:
    """Return the definitions by name, without those that are built in as they are."""
    return {each.name: each for each in definitions if BUILTIN.get(each.name) != each}


def check_builtin(category: str) -> str:
    """Return the name of a built-in category. ConfigError for another one, which has no embedded shapes."""
    if category not in BUILTIN:
        raise ConfigError(f"{category!r} has no embedded shapes{did_you_mean(category, BUILTIN)}")
    return category


# The names of PASCAL3D+'s annotations. Left and right are the object's own: left at +x, right at -x.
_KEYPOINTS: dict[str, tuple[str, ...]] = {
    "aeroplane": (
        "left_elevator",
        "left_wing",
        "noselanding",
        "right_elevator",
        "right_wing",
        "rudder_lower",
        "rudder_upper",
        "tail",
    ),
    "bicycle": (
        "head_center",
        "left_back_wheel",
        "left_front_wheel",
        "left_handle",
        "left_pedal_center",
        "right_back_wheel",
        "right_front_wheel",
        "right_handle",
        "right_pedal_center",
        "seat_back",
        "seat_front",
    ),
    "boat": ("head", "head_down", "head_left", "head_right", "tail_left", "tail_right", "tail"),
    "bottle": ("mouth", "body", "body_left", "body_right", "bottom", "bottom_left", "bottom_right"),
    "bus": (
        "body_back_left_lower",
        "body_back_left_upper",
        "body_back_right_lower",
        "body_back_right_upper",
        "body_front_left_upper",
        "body_front_right_upper",
        "body_front_left_lower",
        "body_front_right_lower",
        "left_back_wheel",
        "left_front_wheel",
        "right_back_wheel",
        "right_front_wheel",
    ),
    "car": (
        "left_front_wheel",
        "left_back_wheel",
        "right_front_wheel",
        "right_back_wheel",
        "upper_left_windshield",
        "upper_right_windshield",
        "upper_left_rearwindow",
        "upper_right_rearwindow",
        "left_front_light",
        "right_front_light",
        "left_back_trunk",
        "right_back_trunk",
    ),
    "chair": (
        "back_upper_left",
        "back_upper_right",
        "seat_upper_left",
        "seat_upper_right",
        "seat_lower_left",
        "seat_lower_right",
        "leg_upper_left",
        "leg_upper_right",
        "leg_lower_left",
        "leg_lower_right",
    ),
    "diningtable": (
        "leg_upper_left",
        "leg_upper_right",
        "leg_lower_left",
        "leg_lower_right",
        "top_upper_left",
        "top_upper_right",
        "top_lower_left",
        "top_lower_right",
        "top_up",
        "top_down",
        "top_left",
        "top_right",
    ),
    "motorbike": (
        "back_seat",
        "front_seat",
        "head_center",
        "headlight_center",
        "left_back_wheel",
        "left_front_wheel",
        "left_handle_center",
        "right_back_wheel",
        "right_front_wheel",
        "right_handle_center",
    ),
    "sofa": (
        "front_bottom_left",
        "front_bottom_right",
        "seat_bottom_left",
        "seat_bottom_right",
        "left_bottom_back",
        "right_bottom_back",
        "top_left_corner",
        "top_right_corner",
        "seat_top_left",
        "seat_top_right",
    ),
    "train": (
        "head_left_bottom",
        "head_left_top",
        "head_right_bottom",
        "head_right_top",
        "head_top",
        "mid1_left_bottom",
        "mid1_left_top",
        "mid1_right_bottom",
        "mid1_right_top",
        "mid2_left_bottom",
        "mid2_left_top",
        "mid2_right_bottom",
        "mid2_right_top",
        "tail_left_bottom",
        "tail_left_top",
        "tail_right_bottom",
        "tail_right_top",
    ),
    "tvmonitor": (
        "front_bottom_left",
        "front_bottom_right",
        "front_top_left",
        "front_top_right",
        "back_bottom_left",
        "back_bottom_right",
        "back_top_left",
        "back_top_right",
    ),
}

# Mean, standard deviation, minimum and maximum elevation of the camera in degrees. The released recipe publishes the
# row of the car only; the other rows are approximations of this project.
_ELEVATION_DEG: dict[str, tuple[float, float, float, float]] = {
    "aeroplane": (5, 20, -60, 70),
    "bicycle": (8, 10, -20, 60),
    "boat": (8, 10, -20, 60),
    "bottle": (10, 15, -40, 70),
    "bus": (5, 8, -15, 50),
    "car": (5, 8, -15, 50),
    "chair": (12, 12, -30, 70),
    "diningtable": (20, 12, -10, 75),
    "motorbike": (8, 10, -20, 60),
    "sofa": (12, 10, -15, 60),
    "train": (5, 8, -20, 50),
    "tvmonitor": (5, 10, -40, 60),
}

_SYMMETRY = {"bottle": Symmetry.parse("z:0"), "diningtable": Symmetry.parse("z:2")}
# The categories whose embedded shapes occlude others by default.
_OCCLUDERS = ("bottle", "chair", "sofa", "tvmonitor")
# Shapes with little or no paint: the parts that they mostly consist of have the colour.
_COLOURABLE = {
    "bottle": ("glass",),
    "chair": ("fabric", "wood"),
    "diningtable": ("wood",),
    "sofa": ("fabric", "wood"),
}
# Shapes whose glass one can see through; the others have screens, coloured glass, or panes on closed hulls.
_CLEAR_GLASS = ("car",)

BUILTIN: dict[str, CategoryDefinition] = {
    name: CategoryDefinition(
        name=name,
        elevation_deg=_ELEVATION_DEG[name],
        symmetry=_SYMMETRY.get(name, Symmetry.NONE),
        keypoints=keypoints,
        occluder=name in _OCCLUDERS,
        colourable=_COLOURABLE.get(name, ()),
        glass="clear" if name in _CLEAR_GLASS else "dark",
    )
    for name, keypoints in _KEYPOINTS.items()
}
CATEGORIES = tuple(BUILTIN)
