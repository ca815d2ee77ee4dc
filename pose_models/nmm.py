"""The neural mesh model: a feature net, a mesh with one feature per vertex for each category, a bank of clutter."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from p3d_gen.core.errors import DataError, did_you_mean
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.run.files import write_bytes, write_json
from pose_models.backbone import STRIDE, BackboneSpec, FeatureNet
from pose_models.categories import KnownCategories, known_fields, spec_fields
from pose_models.ledger import MODEL_FILE, check_files
from pose_models.mesh import Mesh, cuboid

BankUpdate = Literal["visible", "batch"]
BankInit = Literal["smooth", "uniform"]
SMOOTH_LENGTH = 0.25
WEIGHTS_FILE = "model.safetensors"
SCHEMA = 2


@dataclass(frozen=True, kw_only=True)
class MeshSpec:
    """One category's neural mesh, and the facts of its training that a solver needs.

    box_lower, box_upper: corners of the cuboid in obj axes; vertices: approximate number of its vertices, see
    `p3d_gen.core.cuboid`; cads: number of CAD models that the mesh stands for; distance: mean training distance in
    box diagonals.
    elevations_rad, thetas_rad: smallest and largest of the training viewpoints.
    mode_rotation: R_cam_obj, the most frequent training rotation, its 9 numbers row by row.
    """

    category: str
    vertices: int
    box_lower: tuple[float, ...]
    box_upper: tuple[float, ...]
    cads: int
    distance: float
    elevations_rad: tuple[float, ...]
    thetas_rad: tuple[float, ...]
    mode_rotation: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ModelSpec(KnownCategories):
    """The architecture of a model.

    bank_init: form of `initial_features`; canvas_hw: input size in pixels; box_fill: share of the canvas that an
    object's box fills; clutter: rows of the clutter bank; meshes: one for each category.
    """

    backbone: BackboneSpec
    bank_init: BankInit
    canvas_hw: tuple[int, ...]
    box_fill: float
    clutter: int
    meshes: tuple[MeshSpec, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """Categories that the model knows."""
        return tuple(mesh.category for mesh in self.meshes)


class NeuralMesh(nn.Module):
    """A category's cuboid mesh (R vertices) with vertex features C (R, D), unit rows.

    outlines (C, N, 3): extreme points of each CAD model (`mesh.outline`), by which boxes are predicted. symmetry: of
    the category's shapes. any_pose: True for objects that do not stand, whose poses are searched among all rotations.
    """

    vertex_features: Tensor
    outlines: Tensor

    def __init__(
        self,
        spec: MeshSpec,
        outlines: Tensor,
        features: Tensor | None = None,
        *,
        symmetry: Symmetry = Symmetry.NONE,
        any_pose: bool = False,
    ) -> None:
        """Make the mesh of a spec; `features` (R, D) must be set before the first use."""
        super().__init__()
        self.spec, self.symmetry, self.any_pose = spec, symmetry, any_pose
        self.mesh = cuboid(torch.tensor(spec.box_lower).numpy(), torch.tensor(spec.box_upper).numpy(), spec.vertices)
        self.register_buffer("vertex_features", torch.zeros(0) if features is None else features)
        self.register_buffer("outlines", outlines)

    def _apply(self, fn, recurse=True):  # type: ignore[no-untyped-def]
        out = super()._apply(fn, recurse)
        self.mesh = Mesh(vertices=fn(self.mesh.vertices), faces=fn(self.mesh.faces), normals=fn(self.mesh.normals))
        return out


class ByCategory(nn.ModuleDict):
    """Modules by category, whatever its name: torch refuses names of its own methods, such as "train"."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Add the module of a category."""
        self._modules[name] = module


def _neural_mesh(model: ModelSpec, spec: MeshSpec, outlines: Tensor) -> NeuralMesh:
    definition = model.definition(spec.category)
    symmetry = definition.symmetry.canonical()
    return NeuralMesh(spec, outlines, symmetry=symmetry, any_pose=definition.pose == "any")


class NeuralMeshModel(nn.Module):
    """Feature net, a `NeuralMesh` for each category, and the clutter bank (M, D), unit rows, empty at first."""

    clutter: Tensor
    clutter_seen: Tensor

    def __init__(self, spec: ModelSpec, outlines: dict[str, Tensor], generator: torch.Generator) -> None:
        """Make a model with random weights, its vertex features those of `initial_features`."""
        super().__init__()
        self.spec = spec
        self.net = FeatureNet(spec.backbone)
        channels = spec.backbone.channels
        self.meshes = ByCategory({m.category: _neural_mesh(spec, m, outlines[m.category]) for m in spec.meshes})
        for mesh in self.meshes.values():
            mesh.vertex_features = initial_features(mesh.mesh.vertices, channels, generator, spec.bank_init)
        self.register_buffer("clutter", torch.zeros(spec.clutter, channels))
        self.register_buffer("clutter_seen", torch.zeros((), dtype=torch.int64))

    def neural_mesh(self, category: str) -> NeuralMesh:
        """Return the mesh of a category. DataError if the model does not know it."""
        if category not in self.meshes:
            known = self.spec.categories
            raise DataError(f"the model knows {', '.join(known)}, not {category!r}{did_you_mean(category, known)}")
        mesh: NeuralMesh = self.meshes[category]
        return mesh

    @property
    def map_hw(self) -> tuple[int, int]:
        """Height and width of the feature map."""
        return self.spec.canvas_hw[0] // STRIDE, self.spec.canvas_hw[1] // STRIDE

    def clutter_bank(self) -> Tensor:
        """Return the filled rows of the clutter bank (M, D)."""
        return self.clutter[: min(int(self.clutter_seen), len(self.clutter))]

    def clutter_mean(self) -> Tensor:
        """Return beta (D,): the normalised mean of the clutter bank, the rival of every vertex at inference."""
        bank = self.clutter_bank()
        return F.normalize(bank.mean(0), dim=0) if len(bank) else self.clutter[0]

    def push_clutter(self, features: Tensor) -> None:
        """Put features (N, D), detached, into the bank, first in first out."""
        rows = (int(self.clutter_seen) + torch.arange(len(features), device=features.device)) % len(self.clutter)
        # A new tensor: the last loss still holds the old one for its backward pass.
        self.clutter = self.clutter.index_copy(0, rows, features)
        self.clutter_seen += len(features)


def sample_features(features: Tensor, pixels: Tensor) -> Tensor:
    """Sample unit features (B, N, D) at canvas pixels (B, N, 2), bilinear between cell centres of (B, D, h, w)."""
    size = pixels.new_tensor([features.shape[3], features.shape[2]]) * STRIDE
    sampled = F.grid_sample(features, (2 * pixels / size - 1)[:, None], align_corners=False, padding_mode="border")
    return F.normalize(sampled[:, :, 0].mT, dim=-1)


def initial_features(vertices: Tensor, channels: int, generator: torch.Generator, form: BankInit) -> Tensor:
    """Draw the unit features (R, D) that vertices (R, 3) start from.

    "uniform": U(-sqrt(3/D), sqrt(3/D)) for each vertex alone, as in NeMo. "smooth": random Fourier features, whose
    products fall with the vertices' distance r as exp(-r^2 / (2 SMOOTH_LENGTH^2)). From the first step distant vertices
    have dissimilar features, and a mean over different vertices does not draw them together.
    """
    if form == "uniform":
        start = (torch.rand(len(vertices), channels, generator=generator) * 2 - 1) * math.sqrt(3 / channels)
    else:
        waves = torch.randn(3, channels, generator=generator) / SMOOTH_LENGTH
        start = torch.cos(vertices @ waves + torch.rand(channels, generator=generator) * 2 * math.pi)
    return F.normalize(start, dim=1)


def updated_vertex_features(
    bank: Tensor, total: Tensor, count: Tensor, images: int, *, momentum: float, form: BankUpdate = "visible"
) -> Tensor:
    """Return the bank (R, D) after a batch.

    images: number of images in the batch; count (R,): number of them that see each vertex; total (R, D): sum of the
    detached unit features at each vertex.
    C_r <- normalize(mu C_r + (1 - mu) total_r / n): n is the number of images that see r ("visible"), or the
    batch size ("batch"), as the released code has it. Vertices that no image sees stay as they are. As in NeMo.
    """
    mean = total / (count.clamp(min=1)[:, None] if form == "visible" else images)
    moved = F.normalize(momentum * bank + (1 - momentum) * mean, dim=1)
    return torch.where(count[:, None] > 0, moved, bank)


def save_model(model: NeuralMeshModel, folder: Path) -> None:
    """Write weights (safetensors), then the spec (JSON) that marks the model as complete."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / WEIGHTS_FILE, save(state))
    write_json(folder / MODEL_FILE, {"schema": SCHEMA, **spec_fields(model.spec)})


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def load_model(folder: Path, device: torch.device) -> NeuralMeshModel:
    """Load the model of a run folder, in evaluation mode. DataError, naming the file, if it cannot be read."""
    path = folder / MODEL_FILE
    if not path.is_file():
        raise DataError(f"{folder} holds no {MODEL_FILE}: not the --out of a finished `pose-models train`")
    check_files(folder, MODEL_FILE, WEIGHTS_FILE)
    try:
        fields = json.loads(path.read_text())
        if (schema := fields.pop("schema", None)) != SCHEMA:
            raise DataError(
                f"{path} has schema {schema}, this version of p3dgen reads {SCHEMA}: use the version it was made by"
            )
        fields["backbone"] = BackboneSpec(**_tuples(fields["backbone"]))
        fields["meshes"] = [MeshSpec(**_tuples(mesh)) for mesh in fields["meshes"]]
        spec = ModelSpec(**(_tuples(fields) | known_fields(path, fields)))
        state = load_file(folder / WEIGHTS_FILE)
        outlines = {name: state[f"meshes.{name}.outlines"] for name in spec.categories}
        model = NeuralMeshModel(spec, outlines, torch.Generator().manual_seed(0))
        model.load_state_dict(state)
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise DataError(f"cannot read the model in {folder}: {error}; it is damaged or incomplete") from error
    placed: NeuralMeshModel = model.to(device, memory_format=torch.channels_last).eval()
    return placed
