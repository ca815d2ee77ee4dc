"""The section of a manifest, or the file category.toml next to CAD models, that defines a category."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.errors import ConfigError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.spec.camera import Degrees, Share
from p3d_gen.spec.scene_sections import TruncatedNormal
from p3d_gen.spec.sections import Positive, Range, Section, Turns, ordered

_LONGEST = 60
_AS_THEY_ARE = ("words", "keypoints", "pose", "colourable", "glass", "diagonal_m")
_CAMERA = ("distance", "fov_deg", "fill")
Word = Annotated[str, Field(min_length=1, max_length=_LONGEST, pattern=r"^[^{}\x00-\x1f]+$")]


class CategorySection(Section):
    """A category of one's own, or changes to a built-in one.

    A key that is left out comes from category.toml in the folder of the category's models, then from the built-in
    category of this name, then from the defaults of an unknown one.

    words: the words that prompts call it by: each sample draws one for {category}, and one for {word} unless
    stylize.words has its own. By default its name, with spaces for underscores.
    elevation: the truncated normal of the camera's elevation, if the distribution is `pascal3d`; viewpoint.elevation
    comes before it. By default from -10 to 60 degrees.
    symmetry: turns that leave its shapes as they are, each as axis:order in object axes (z up, front -y), such as
    ["z:0"] for any angle about z, or ["x:2", "y:2", "z:2"] for a box; an axis may be three numbers, "1,1,0:3".
    keypoints: names of its keypoints, in the order in which exports list them.
    pose: `upright` for cameras around an object that stands, or `any` for all rotations alike, also from below.
    colourable: names of parts that have the sample's colour besides paint and parts with unknown names.
    glass: `clear` if one sees through its parts of glass in realistic materials, or `dark`, as that of screens.
    distance, fov_deg, fill: as in [camera], whose keys they replace for this category: two of them replace distance,
    fill and lens, one of them the same key of the camera. K is never replaced.
    diagonal_m: diagonal of the box of its objects in metres: models that learn it then give distances in metres.
    """

    later: ClassVar[tuple[str, ...]] = (
        *("words", "elevation", "symmetry", "keypoints", "pose", "colourable", "glass"),
        *("distance", "fov_deg", "fill", "diagonal_m"),
    )

    words: Annotated[tuple[Word, ...], Field(min_length=1)] | None = None
    elevation: TruncatedNormal | None = None
    symmetry: Turns | None = None
    keypoints: tuple[Word, ...] | None = None
    pose: Literal["upright", "any"] | None = None
    colourable: tuple[Word, ...] | None = None
    glass: Literal["clear", "dark"] | None = None
    distance: Range | None = None
    fov_deg: tuple[Degrees, Degrees] | None = None
    fill: tuple[Share, Share] | None = None
    diagonal_m: Positive | None = None

    @field_validator("keypoints")
    @classmethod
    def _once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if (value or ()).count(name) > 1:
                raise ConfigError(f"the keypoint {name!r} is named twice")
        return value

    @model_validator(mode="after")
    def _check(self) -> CategorySection:
        for name in _CAMERA:
            if (span := getattr(self, name)) is not None:
                ordered(name, *span)
        return self

    def applied(self, definition: CategoryDefinition) -> CategoryDefinition:
        """Return a definition with the keys that are given here."""
        given: dict[str, Any] = {
            name: value for name in (*_AS_THEY_ARE, *_CAMERA) if (value := getattr(self, name)) is not None
        }
        if self.symmetry is not None:
            given["symmetry"] = Symmetry.parse(self.symmetry)
        if (normal := self.elevation) is not None:
            given["elevation_deg"] = (normal.mean_deg, normal.std_deg, normal.min_deg, normal.max_deg)
        return replace(definition, **given)
