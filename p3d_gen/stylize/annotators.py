"""The annotators of `controlnet_aux` by name: networks and filters that turn a picture into a control picture."""

from __future__ import annotations

import functools
import importlib.util
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.errors import DependencyError, ManifestError, did_you_mean

HUB_WEIGHTS = "lllyasviel/Annotators"
# Packages that controlnet_aux does not install. Without them these annotators fail with a misleading error.
_EXTRA_PACKAGES = {"mediapipe_face": "mediapipe", "dwpose": "mmpose"}


@functools.cache
def _known() -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Mapping[str, Any]]]:
    """Return the annotators of controlnet_aux by name (class, flag for weights), and the arguments of their calls."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about parts of the package that are not used here
            from controlnet_aux.processor import MODEL_PARAMS, MODELS
    except ImportError as error:
        raise DependencyError(
            f"the package controlnet_aux cannot be imported ({error}): pip install 'p3dgen[stylize]', or use Canny's "
            "backend 'opencv', which gives the same edges"
        ) from None
    return MODELS, MODEL_PARAMS


def _weights(annotator: str, folder: str) -> str:
    """Return the place of an annotator's weights: the hub, or an existing folder. Raise ManifestError for no folder."""
    if not folder:
        return HUB_WEIGHTS
    path = Path(os.path.expandvars(folder)).expanduser()
    if not path.is_absolute() or not path.is_dir():
        raise ManifestError(
            f"stylize.control.annotator = {annotator!r}: {path} is not the absolute path of a folder with weights"
        )
    return str(path)


@functools.lru_cache(maxsize=4)
def load_annotator(annotator: str) -> Any:
    """Load the annotator `NAME` or `NAME@FOLDER`, on the GPU if there is one.

    The weights come from the hub's `lllyasviel/Annotators`, or from a folder that holds the same files. Raise
    ManifestError if there is no such name or folder, DependencyError if a package or the weights are missing.
    """
    name, _, folder = annotator.partition("@")
    models, _ = _known()
    if name not in models:
        raise ManifestError(
            f"stylize.control.annotator = {annotator!r}: controlnet_aux does not know it{did_you_mean(name, models)}"
        )
    package = _EXTRA_PACKAGES.get(name)
    if package and importlib.util.find_spec(package) is None:
        raise DependencyError(f"the annotator {name!r} needs the package {package}: pip install {package}")
    kind = models[name]["class"]
    if not hasattr(kind, "from_pretrained"):
        return kind()
    source = _weights(annotator, folder)
    try:
        return _on_gpu(kind.from_pretrained(source))
    except (OSError, ValueError, ImportError) as error:
        raise DependencyError(
            f"stylize.control.annotator = {annotator!r}: the weights cannot be loaded from {source} "
            f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]}). Download them on a machine with a "
            f"network, `hf download {HUB_WEIGHTS} --local-dir FOLDER`, and write '{name}@FOLDER'"
        ) from error


def _on_gpu(detector: Any) -> Any:
    import torch

    return detector.to("cuda") if torch.cuda.is_available() else detector


def annotate(
    annotator: str, rgb: NDArray[np.uint8], resolution: int, seed: int = 0, **arguments: Any
) -> NDArray[np.uint8]:
    """Return an annotator's output (h, w, 3) for a picture (H, W, 3), at `control_hw` of its size.

    seed: seed of its random draws (`shuffle` has some). arguments: further arguments of the annotator. Errors as in
    `load_annotator`.
    """
    detector = load_annotator(annotator)
    _, defaults = _known()
    before = np.random.get_state()  # noqa: NPY002  controlnet_aux draws from numpy's global generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        made = detector(
            rgb,
            detect_resolution=resolution,
            image_resolution=resolution,
            output_type="np",
            **{**defaults[annotator.partition("@")[0]], **arguments},
        )
    finally:
        np.random.set_state(before)  # noqa: NPY002
    return np.ascontiguousarray(made, dtype=np.uint8)
