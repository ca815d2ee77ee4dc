"""The identity of the data of a training: a training resumes only on the data that it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p3d_gen.core.types import Array
from pose_models.data.augment import Backgrounds
from pose_models.data.sample import PoseSample


def _of_source(source: Sequence[PoseSample]) -> Any:
    """Return the checksums of shards by name, and the digest of photographs; of other sequences the length."""
    return getattr(source, "identity", len(source))


def data_identity(
    renders: Sequence[PoseSample], real: Sequence[PoseSample], backgrounds: Backgrounds | None
) -> dict[str, Any]:
    """Return the identity of the images of a training, as JSON. Places of files do not belong to it."""
    return {
        "shards": _of_source(renders),
        "photographs": _of_source(real),
        "backgrounds": None if backgrounds is None else backgrounds.identity,
    }


def cads_identity(cads: Mapping[str, Mapping[str, Array]]) -> dict[str, str]:
    """Return a digest of the CAD models of each category, by their vertices: ids tell places."""
    digests = {
        category: sorted(hashlib.sha256(np.ascontiguousarray(points).tobytes()).digest() for points in models.values())
        for category, models in cads.items()
    }
    return {category: hashlib.sha256(b"".join(each)).hexdigest() for category, each in digests.items()}
