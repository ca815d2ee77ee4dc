"""The similarity of source features to their vertices, kept with a model so that an adaptation needs no source.

3DUDA's delta_r keeps a given share of the source features of each vertex. Its file lies next to the model: for
each category the quantiles (L, R) of f_(i->r) . C_r at the levels that its metadata name, NaN for vertices that no
source image shows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from p3d_gen.core.errors import DataError
from p3d_gen.run.files import write_bytes
from pose_models.data.augment import collate, place
from pose_models.data.sample import PoseSample
from pose_models.ledger import faults
from pose_models.look import by_category, look
from pose_models.nmm import NeuralMeshModel

SIMILARITY_FILE = "source_similarity.safetensors"
LEVELS = (0.05, 0.1)
IMAGES = 500
_BATCH = 8


def write_source_similarity(
    model: NeuralMeshModel,
    samples: Sequence[PoseSample],
    folder: Path,
    levels: Sequence[float] = LEVELS,
    images: int = IMAGES,
) -> None:
    """Measure a trained model on labelled source samples, and write the quantiles at `levels` next to it.

    At most `images` samples for each category are used, spread evenly, without augmentation. All samples must be of the
    model's categories.
    """
    quantiles = source_similarity(model, samples, levels, images)
    content = save(quantiles, metadata={"levels": json.dumps(list(levels))})
    write_bytes(folder / SIMILARITY_FILE, content)


@torch.no_grad()
def source_similarity(
    model: NeuralMeshModel, samples: Sequence[PoseSample], levels: Sequence[float], images: int
) -> dict[str, Tensor]:
    """Return the quantiles (L, R) of the cosines of source features, by category of a model in evaluation mode."""
    count = min(len(samples), images * len(model.spec.categories))
    chosen = np.linspace(0, len(samples) - 1, count).astype(int)
    # An image that shows nothing goes first: vertices that no source image shows become NaN.
    cosines = {name: [torch.full((1, len(neural.vertex_features)), torch.nan)] for name, neural in model.meshes.items()}
    for first in range(0, len(chosen), _BATCH):
        chunk = [samples[int(i)] for i in chosen[first : first + _BATCH]]
        batch = collate([place(s, model.spec.canvas_hw, model.spec.box_fill) for s in chunk]).to(model.clutter.device)
        features = model.net(batch.image.contiguous(memory_format=torch.channels_last))
        for name, rows in by_category(batch).items():
            seen = look(model.neural_mesh(name), features, batch, rows, batch.cam_T_obj[rows], batch.K[rows])
            cosines[name].append(seen.cosine().where(seen.visible, torch.nan).cpu())
    at = torch.tensor(list(levels))
    return {name: torch.cat(parts).nanquantile(at, dim=0).contiguous() for name, parts in cosines.items()}


def source_thresholds(folder: Path, level: float) -> dict[str, Tensor]:
    """Read delta (R,) of each category: the quantile at `level` of its vertices' source features.

    DataError, naming the file and the remedy, if it is missing, cannot be read, or lacks the level.
    """
    path = folder / SIMILARITY_FILE
    remedy = f"make it from source images: pose-models thresholds --model {folder} --shards ... --level {level:g}"
    if not path.is_file():
        raise DataError(f'delta = "source" needs {path}, which is not there; {remedy}')
    for each in faults(folder, (SIMILARITY_FILE,)):
        raise DataError(f"{path} {each.fault}; {remedy}")
    try:
        with safe_open(path, framework="pt") as file:
            levels = json.loads(file.metadata()["levels"])
            similarity = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (OSError, KeyError, TypeError, json.JSONDecodeError, SafetensorError) as error:
        raise DataError(f"cannot read {path}: {error}; {remedy}") from error
    if level not in levels:
        raise DataError(f"{path} holds the quantiles at {', '.join(map(str, levels))}, not at {level:g}; {remedy}")
    row = levels.index(level)
    return {name: quantiles[row] for name, quantiles in similarity.items()}
