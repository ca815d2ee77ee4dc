"""The pose of an object in a picture, in all its forms, and drawn on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from p3d_gen.core.codecs import encode_png
from p3d_gen.core.types import Array, Picture
from pose_models.geometry import viewpoint_of
from pose_models.rasterise import face_map, rasterise
from pose_models.report.draw import draw_pose, enlarged, polyline

Box = tuple[float, float, float, float]
Cad = tuple[Array, NDArray[np.int64]]
_SMALLEST_OVERLAY = 480
_CAD_COLOUR = (255, 90, 200)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hypothesis:
    """A pose cam_T_obj (4, 4) under K (3, 3) in the picture's own pixels, its loss and its confidence.

    Axes as in `p3d_gen.core.geometry`: cam has x right, y down, z forward; obj has z up and its front at -y. Lengths
    are in diagonals of the object's box. The loss is that of reconstruction; of Res-General it is -ln confidence.
    """

    cam_T_obj: Array
    K: Array
    loss: float
    confidence: float

    @property
    def R(self) -> Array:
        """Rotation (3, 3) from obj to cam axes."""
        return self.cam_T_obj[:3, :3]

    @property
    def distance(self) -> float:
        """Distance from the camera to the object's origin, in diagonals of its box."""
        return float(np.linalg.norm(self.cam_T_obj[:3, 3]))

    @property
    def viewpoint_deg(self) -> tuple[float, float, float]:
        """Azimuth in [0, 360), elevation and in-plane angle theta in degrees."""
        azimuth, elevation, theta = viewpoint_of(torch.from_numpy(self.R)).rad2deg().tolist()
        return azimuth, elevation, theta

    def metric(self, diagonal_m: float | None) -> dict[str, Any]:
        """Return translation and distance in metres; {} if the diagonal of the object's box is not known."""
        if diagonal_m is None:
            return {}
        translation_m = self.cam_T_obj[:3, 3] * diagonal_m
        return {"translation_m": translation_m.tolist(), "distance_m": self.distance * diagonal_m}

    def as_dict(self, diagonal_m: float | None = None) -> dict[str, Any]:
        """Return the pose in all its forms, for JSON. diagonal_m: see `Pose`."""
        azimuth, elevation, theta = self.viewpoint_deg
        return {
            "azimuth_deg": azimuth,
            "elevation_deg": elevation,
            "theta_deg": theta,
            "loss": self.loss,
            "confidence": self.confidence,
            "R_cam_obj": self.R.tolist(),
            "cam_T_obj": self.cam_T_obj.tolist(),
            "K": self.K.tolist(),
            **self.metric(diagonal_m),
        }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pose:
    """The pose of the object in a picture; a notebook shows it drawn on the picture.

    image (H, W, 3) uint8 RGB; category; box: the object's X1, Y1, X2, Y2 in pixels that was used; hypotheses: by rising
    loss, the first is the answer and gives all other attributes; category_losses: of every category that was tried;
    mesh_box (2, 3): lower and upper corner of the category's box in obj axes. diagonal_m: diagonal of the object's box
    in metres, None if that is not known.
    """

    image: Picture
    category: str
    box: Box
    hypotheses: tuple[Hypothesis, ...]
    category_losses: dict[str, float]
    mesh_box: Array
    diagonal_m: float | None = None

    @property
    def azimuth_deg(self) -> float:
        """Azimuth in degrees, [0, 360)."""
        return self.hypotheses[0].viewpoint_deg[0]

    @property
    def elevation_deg(self) -> float:
        """Elevation in degrees, [-90, 90]."""
        return self.hypotheses[0].viewpoint_deg[1]

    @property
    def theta_deg(self) -> float:
        """In-plane angle in degrees, [-180, 180]."""
        return self.hypotheses[0].viewpoint_deg[2]

    @property
    def distance(self) -> float:
        """Distance from the camera to the object's origin, in diagonals of its box."""
        return self.hypotheses[0].distance

    @property
    def distance_m(self) -> float | None:
        """Distance from the camera to the object's origin in metres, None if the object's size is not known."""
        return None if self.diagonal_m is None else self.distance * self.diagonal_m

    @property
    def translation_m(self) -> Array | None:
        """The object's origin (3,) in cam axes in metres, None if the object's size is not known."""
        return None if self.diagonal_m is None else self.cam_T_obj[:3, 3] * self.diagonal_m

    @property
    def R(self) -> Array:
        """Rotation (3, 3) from obj to cam axes."""
        return self.hypotheses[0].R

    @property
    def cam_T_obj(self) -> Array:
        """Pose (4, 4) from obj to cam axes."""
        return self.hypotheses[0].cam_T_obj

    @property
    def K(self) -> Array:
        """Camera matrix (3, 3) in pixels of the picture."""
        return self.hypotheses[0].K

    @property
    def confidence(self) -> float:
        """Confidence of the answer; higher is surer."""
        return self.hypotheses[0].confidence

    @property
    def loss(self) -> float:
        """Loss of the answer."""
        return self.hypotheses[0].loss

    def __repr__(self) -> str:
        """Return the answer in one line."""
        angles = (
            f"azimuth {self.azimuth_deg:.1f}, elevation {self.elevation_deg:.1f}, theta {self.theta_deg:.1f} degrees"
        )
        away = "" if self.distance_m is None else f" {self.distance_m:.3g} m away,"
        return f"{self.category}, {angles},{away} loss {self.loss:.3f}, confidence {self.confidence:.3f}"

    def _repr_png_(self) -> bytes:
        return encode_png(np.asarray(self.draw()))

    def draw(self, cad: Cad | None = None) -> Image.Image:
        """Return the picture with the pose drawn on it.

        The box of the mesh has a yellow front face; the axes are x red, y green, z blue. cad: vertices (V, 3) and faces
        (F, 3) of a shape, whose outline is drawn too. Small pictures are enlarged.
        """
        scale = max(1.0, _SMALLEST_OVERLAY / max(self.image.shape[:2]))
        drawn, K = enlarged(self.image, self.K, scale) if scale > 1 else (self.image.copy(), self.K)
        if cad is not None:
            for outline in _outlines(cad, self.cam_T_obj, K, drawn.shape[:2]):
                polyline(drawn, outline, _CAD_COLOUR)
        with_box = draw_pose(drawn, K, self.cam_T_obj, self.mesh_box)
        return Image.fromarray(drawn if with_box is None else with_box)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields of the answer, and all hypotheses, for JSON."""
        return {
            "category": self.category,
            "box_xyxy": list(self.box),
            **({} if self.diagonal_m is None else {"diagonal_m": self.diagonal_m}),
            **self.hypotheses[0].as_dict(self.diagonal_m),
            "category_losses": self.category_losses,
            "hypotheses": [hypothesis.as_dict(self.diagonal_m) for hypothesis in self.hypotheses],
        }


def _outlines(cad: Cad, cam_T_obj: Array, K: Array, hw: tuple[int, ...]) -> list[Array]:
    """Return the closed outlines (N, 2) of a CAD's silhouette, in continuous pixel coordinates."""
    vertices, faces = cad
    points = torch.from_numpy(vertices @ cam_T_obj[:3, :3].T + cam_T_obj[:3, 3])[None]
    size = hw[0], hw[1]
    hits = rasterise(points, torch.from_numpy(faces), torch.from_numpy(K)[None], size, cull=False)
    mask = (face_map(hits, 1, size)[0] >= 0).numpy().astype(np.uint8)
    contours = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    return [np.vstack([line[:, 0], line[:1, 0]]) + 0.5 for line in contours]
