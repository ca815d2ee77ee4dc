"""The camera section of a manifest: as people think of a camera, with the defaults that follow from the frame."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.errors import ConfigError
from p3d_gen.spec.sections import Positive, Range, Section, Unit, ordered

Side = Annotated[int, Field(ge=32, le=8192)]
Degrees = Annotated[float, Field(ge=1, le=150)]
Share = Annotated[float, Field(ge=0.05, le=1)]
Row = tuple[float, float, float]

DISTANCE = 5.0
# At distance 5, the sphere around an object of diagonal 1 takes 94 % of the shorter side: 3000 pixels at 640 x 800.
_FOCAL_SIDES = 4.6875
_FILL = (0.6, 0.9)
# A camera nearer than this may stand inside the box, whose corners lie at 0.5.
NEAREST = 0.5
_SQUARE = 1e-3
_CHOICES = ("fill", "fov_deg", "focal_px", "K", "distance")


class CameraSection(Section):
    """The pinhole camera, and the place of the object in its frame.

    Size in the frame, field of view and distance depend on one another: give two of them, and the third follows for
    each sample. They are `fill`; one of `fov_deg`, `focal_px` and `K`; and `distance`. With one of them alone the other
    is `distance` 5 (next to `fill` or `focal_px`) or `fill` [0.6, 0.9] (next to the others). Without any of them the
    distance is 5, and the focal length fits the object into the frame, also if `cad.stretch` makes it larger.

    image_hw: the size of the pictures in pixels, [height, width].
    fill: range of the uniform draw of the share of the frame that the box around the object takes: the greatest share
    of the way from the principal point to an edge of the frame. 1 touches the edge.
    fov_deg: range of the uniform draw of the field of view across the longer side of the frame, in degrees.
    focal_px: focal length in pixels.
    K: a camera's intrinsic matrix [[f, 0, x], [0, f, y], [0, 0, 1]] in pixels, for pictures of the size image_hw.
    distance: range of the uniform draw of the distance between camera and object, in diagonals of the object's
    bounding box, above 0.5.
    offset: largest share of the free space between the object's box and the edges of the frame by which the object
    stands off the middle. The camera turns, so the principal point stays. 0 keeps the object on the optical axis.
    """

    image_hw: tuple[Side, Side] = Field(
        default=(640, 800), description="two integers [height, width], for example [128, 128]"
    )
    fill: tuple[Share, Share] | None = None
    fov_deg: tuple[Degrees, Degrees] | None = None
    focal_px: Positive | None = None
    K: tuple[Row, Row, Row] | None = Field(
        default=None, description="three rows of three numbers, [[f, 0, x], [0, f, y], [0, 0, 1]]"
    )
    distance: Range | None = None
    offset: Unit = 0.0

    @model_validator(mode="after")
    def _check(self) -> CameraSection:
        for name in ("fill", "fov_deg", "distance"):
            if (span := getattr(self, name)) is not None:
                ordered(name, *span)
        lenses = [name for name in ("fov_deg", "focal_px", "K") if getattr(self, name) is not None]
        if len(lenses) > 1:
            raise ValueError(f"{' and '.join(lenses)} both give the focal length: keep one of them")
        if self.fill and lenses and self.distance:
            raise ValueError(f"fill follows from {lenses[0]} and distance: remove one of the three")
        if self.distance and self.distance[0] <= NEAREST:
            raise ValueError(
                f"distance {self.distance[0]} may lie within the object, whose corners are {NEAREST} from its middle: "
                f"give more than {NEAREST}"
            )
        self._check_K()
        self._complete()
        return self

    def _check_K(self) -> None:
        if self.K is None:
            return
        (fx, skew, x), (zero, fy, y), last = self.K
        if fx <= 0 or abs(fx - fy) > _SQUARE * fx or skew or zero or last != (0.0, 0.0, 1.0):
            raise ValueError("K must be [[f, 0, x], [0, f, y], [0, 0, 1]]: square pixels, no skew")
        if not (0 < x < self.image_hw[1] and 0 < y < self.image_hw[0]):
            raise ValueError(f"the principal point ({x}, {y}) of K lies outside a frame of image_hw {self.image_hw}")

    def _complete(self) -> None:
        """Fill in what was left out: sections of the same camera are then equal."""
        lens = self.fov_deg or self.focal_px or self.K
        chosen: dict[str, Any] = {}
        if not (lens or self.fill or self.distance):
            chosen["focal_px"] = lens = _FOCAL_SIDES * min(self.image_hw)
        if sum(map(bool, (self.fill, lens, self.distance))) < 2:
            follows = self.fov_deg or self.K or self.distance
            chosen |= {"fill": _FILL} if follows else {"distance": (DISTANCE, DISTANCE)}
        for name, value in chosen.items():
            object.__setattr__(self, name, value)

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not asked for: manifests keep the hash that they had before a key was known."""
        dumped: dict[str, Any] = handler(self)
        return {name: value for name, value in dumped.items() if value is not None and (name != "offset" or value)}

    def of(self, definition: CategoryDefinition) -> CameraSection:
        """Return the camera of a category, whose own ranges replace those of this one.

        ConfigError if it then has all of fill, distance and lens, or two lenses.
        """
        own = {name: span for name in ("fill", "fov_deg", "distance") if (span := getattr(definition, name))}
        if not own:
            return self
        values = self._asked()
        if "fov_deg" in own or len(own) > 1:
            values = {name: value for name, value in values.items() if name not in ("fov_deg", "focal_px")}
        if len(own) > 1:
            values = {name: value for name, value in values.items() if name == "K"}
        try:
            return CameraSection(image_hw=self.image_hw, offset=self.offset, **(values | own))
        except ValueError as error:
            reason = next(iter(error.errors()))["msg"] if isinstance(error, ValidationError) else error
            given = " and ".join(own)
            reason = str(reason).removeprefix("Value error, ")  # which is pydantic's
            raise ConfigError(f"{given} of the category {definition.name!r} do not fit [camera]: {reason}") from None

    def _asked(self) -> dict[str, Any]:
        """Return what was asked for of fill, lens and distance, without what followed from that."""
        values = {name: value for name in _CHOICES if (value := getattr(self, name)) is not None}
        if self.is_default:
            return {}
        for name in values:
            fewer = {other: value for other, value in values.items() if other != name}
            if self == CameraSection(image_hw=self.image_hw, offset=self.offset, **fewer):
                return fewer
        return values

    @property
    def is_default(self) -> bool:
        """Return True for the camera that nothing was asked of, except for the size of pictures and the offset."""
        return self == CameraSection(image_hw=self.image_hw, offset=self.offset)

    @property
    def principal_px(self) -> tuple[float, float]:
        """Return the principal point (x, y) in pixels: that of K, or the middle of the frame."""
        height, width = self.image_hw
        return (self.K[0][2], self.K[1][2]) if self.K else (width / 2, height / 2)

    def focal_of(self, fov_deg: float) -> float:
        """Return the focal length in pixels of a field of view across the longer side of the frame."""
        return float(max(self.image_hw) / (2 * np.tan(np.radians(fov_deg) / 2)))

    @property
    def fixed_focal_px(self) -> float | None:
        """Return the focal length of all samples in pixels, None if it differs between them."""
        return (self.K[0][0] + self.K[1][1]) / 2 if self.K else self.focal_px
