"""The weights of a stylization: the places they come from, the revision that is loaded, and their licence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from p3d_gen.core.errors import DependencyError
from p3d_gen.run.checksums import checksums
from p3d_gen.spec.manifest import resolve_file, resolve_folder
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.stylize import Stylize
from p3d_gen.spec.taken import embedded_folder

T = TypeVar("T")
_LIGHT_BYTES = 200e6
# owner/name, then a file of that repository, then @revision
_HUB = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:/(?P<file>[\w./-]+\.\w+))?(?:@(?P<revision>[\w./-]+))?")
_FORMATS = (".safetensors", ".bin", ".pt")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are named in settings.

    name: their name as the settings spell it. key: the key of the settings.
    repo, file, revision: their place on the hub; file and revision are "" if not named, all three for a path.
    path: the folder or file; None for the hub.
    """

    name: str
    key: str
    repo: str = ""
    file: str = ""
    revision: str = ""
    path: Path | None = None


def named_weights(name: str, base_dir: Path, key: str) -> Weights:
    """Return the weights that a name means.

    `owner/name`, `owner/name@revision` and `owner/name/file.safetensors` are on the hub. A path starts with '.', '/',
    '~' or '${' and is relative to `base_dir`. Raise ManifestError if a path does not exist.
    """
    if (match := _HUB.fullmatch(name)) is not None:
        repo, file, revision = (match[part] or "" for part in ("repo", "file", "revision"))
        return Weights(name=name, key=key, repo=repo, file=file, revision=revision)
    resolve = resolve_file if name.endswith(_FORMATS) else resolve_folder
    return Weights(name=name, key=key, path=resolve(name, base_dir, key))


def model_weights(name: str, part: str, base_dir: Path, key: str) -> Weights:
    """Return the weights of a whole model, in the layout of diffusers.

    part: its folder in the embedded stylizer. Raise DependencyError if a folder lacks the configuration file.
    """
    if name == EMBEDDED:
        model = Weights(name=name, key=key, path=embedded_folder("stylizer") / part)
        remedy = (
            "this installation does not hold the embedded stylizer: train one with `p3dgen train-stylizer`, and name "
            "its folder"
        )
    else:
        model = named_weights(name, base_dir, key)
        remedy = "name a folder that diffusers' save_pretrained wrote, or a hub id"
    config = "model_index.json" if part == "base" else "config.json"
    if model.path is not None and not (model.path / config).is_file():
        raise DependencyError(f"{key} = {name!r}: there is no {config} in {model.path}; {remedy}")
    return model


def names_of_weights(settings: Stylize) -> list[str]:
    """Return the names of all weights that the settings name, in the order of `all_weights`."""
    controls = [control.weights for control in settings.control if control.weights]
    vae = [settings.speed.vae] if settings.speed.vae else []
    return [settings.base, *controls, *vae, *(x.weights for x in settings.lora), *settings.textual_inversion]


def all_weights(settings: Stylize, base_dir: Path) -> dict[str, list[Weights]]:
    """Return all weights that the settings name, by their purpose.

    Raise ManifestError if a path does not exist, DependencyError if a folder holds no model.
    """
    vae = settings.speed.vae
    return {
        "base": [model_weights(settings.base, "base", base_dir, "stylize.base")],
        "controls": [
            model_weights(control.weights, "controlnet", base_dir, f"stylize.control.{i}.weights")
            for i, control in enumerate(settings.control)
            if control.weights
        ],
        "vae": [model_weights(vae, "vae", base_dir, "stylize.speed.vae")] if vae else [],
        "lora": [named_weights(x.weights, base_dir, f"stylize.lora.{i}.weights") for i, x in enumerate(settings.lora)],
        "textual_inversion": [
            named_weights(name, base_dir, f"stylize.textual_inversion.{i}")
            for i, name in enumerate(settings.textual_inversion)
        ],
    }


def are_light(settings: Stylize, base_dir: Path) -> bool:
    """Return True if all weights are files so small that every core can have its own pipeline in memory."""
    paths = [each.path for listed in all_weights(settings, base_dir).values() for each in listed]
    if None in paths:
        return False
    files = [file for path in paths if path is not None for file in (path, *path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) <= _LIGHT_BYTES


def check_weights(settings: Stylize, base_dir: Path) -> None:
    """Look for all weights that a stylization names, without loading them; neither torch nor a network is needed.

    Raise ManifestError or DependencyError for a path that does not exist, a folder of another kind, or, if
    HF_HUB_OFFLINE is set, a model that is not in the cache.
    """
    weights = all_weights(settings, base_dir)
    for kind in ("base", "controls", "vae"):
        for model in weights[kind]:
            _check_cached(model, "model_index.json" if kind == "base" else "config.json")


def _check_cached(model: Weights, config: str) -> None:
    if not model.repo:
        return
    hub = _hub()
    if not hub.constants.HF_HUB_OFFLINE:
        return
    if not isinstance(hub.try_to_load_from_cache(model.repo, config, revision=model.revision or None), str):
        raise missing(model, f"HF_HUB_OFFLINE is set, and the cache of the hub does not hold {config}")


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise DependencyError(
            f"stylize.stylizer = 'controlnet' needs diffusers and its hub ({error}): pip install 'p3dgen[stylize]'"
        ) from None
    return huggingface_hub


def missing(weights: Weights, why: str) -> DependencyError:
    """Return the error for weights that cannot be loaded."""
    if weights.repo:
        revision = f" --revision {weights.revision}" if weights.revision else ""
        remedy = (
            f"Download them on a machine with a network, `hf download {weights.repo}{revision} --local-dir FOLDER`, "
            "and name the folder in the manifest"
        )
    else:
        remedy = f"Look at what is in {weights.path}"
    return DependencyError(
        f"{weights.key} = {weights.name!r}: the weights cannot be loaded ({why}). {remedy}; or set "
        "stylize.stylizer = 'none', which passes renders through"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of the first error of a chain: it names the network; the last one only names a file."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def loaded(weights: Weights, load: Callable[[], T]) -> T:
    """Return the result of `load`. Raise DependencyError, with the reason, if the weights cannot be loaded."""
    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise missing(weights, first_line(error)) from error


def pinned(weights: Weights) -> Weights:
    """Return the weights with a resolved revision, so that all files come from the same commit.

    Raise DependencyError if neither the hub nor its cache knows the revision.
    """
    if weights.path is not None:
        return weights
    hub = _hub()
    try:
        return replace(weights, revision=hub.resolve_revision(weights.repo, revision=weights.revision or None))
    except (hub.errors.HfHubHTTPError, hub.errors.RevisionResolutionError, OSError) as error:
        raise missing(weights, first_line(error)) from error


def location(weights: Weights) -> tuple[str, dict[str, Any]]:
    """Return the arguments of from_pretrained: the repository or folder, and the keyword arguments."""
    if weights.path is not None:
        return str(weights.path), {}
    return weights.repo, {"revision": pinned(weights).revision}


def revision(weights: Weights) -> str:
    """Return the commit of a repository, or the sha256 over names and contents of a path's visible files."""
    if weights.path is None:
        return str(pinned(weights).revision.resolved)  # type: ignore[attr-defined]
    return _content(weights.path)


def _content(path: Path) -> str:
    """Return the sha256 of a file, or that over names and contents of a folder's visible files."""
    if path.is_file():
        return checksums([path])[path]
    names = [file.relative_to(path) for file in sorted(path.rglob("*")) if file.is_file()]
    visible = [path / name for name in names if not any(part.startswith(".") for part in name.parts)]
    sha256 = checksums(visible)
    lines = "".join(f"{file.relative_to(path).as_posix()} {sha256[file]}\n" for file in visible)
    return hashlib.sha256(lines.encode()).hexdigest()


def contents(settings: Stylize, base_dir: Path) -> dict[str, str]:
    """Return name -> sha256 of those weights that the settings name by a path, the pose model's as well.

    Raise ManifestError or DependencyError if one is not there.
    """
    paths: dict[str, Path] = {}
    if settings.stylizer != "none":
        for purpose, listed in all_weights(settings, base_dir).items():
            paths |= {f"{purpose} {each.name}": each.path for each in listed if each.path is not None}
    if settings.pose_model:
        paths["pose_model"] = resolve_folder(settings.pose_model, base_dir, "stylize.pose_model")
    for control in settings.control:
        _, _, folder = control.annotator.partition("@")
        if folder:
            paths[control.annotator] = resolve_folder(folder, base_dir, "stylize.control.annotator")
    return {name: _content(path) for name, path in paths.items()}


def licence(weights: Weights) -> str:
    """Return the licence that the model card (README.md) in the folder or repository states, or `unknown`."""
    card = _card(weights)
    if card is None:
        return "unknown"
    stated = _hub().metadata_load(card) or {}
    name = stated.get("license", "unknown")
    return str(stated.get("license_name", name) if name == "other" else name)


def _card(weights: Weights) -> Path | None:
    if weights.path is not None:
        folder = weights.path if weights.path.is_dir() else weights.path.parent
        return folder / "README.md" if (folder / "README.md").is_file() else None
    hub = _hub()
    where, arguments = location(weights)
    try:
        return Path(hub.hf_hub_download(where, "README.md", **arguments))
    except (hub.errors.EntryNotFoundError, hub.errors.LocalEntryNotFoundError):
        return None


def weights_file(weights: Weights) -> Path:
    """Return the one file that holds a low-rank adaptation or an embedding; safetensors is preferred.

    Raise DependencyError if a folder or repository holds none, or several, so that one must be named.
    """
    names = _names(weights)
    files = next((those for form in _FORMATS if (those := [n for n in names if n.endswith(form)])), [])
    if len(files) != 1:
        why = f"it holds {len(files) or 'no'} files of weights{', name one: ' * bool(files)}{', '.join(files)}"
        raise missing(weights, why)
    if weights.path is not None:
        return weights.path if weights.path.is_file() else weights.path / files[0]
    where, arguments = location(weights)
    try:
        return Path(_hub().hf_hub_download(where, files[0], **arguments))
    except OSError as error:
        raise missing(weights, first_line(error)) from error


def _names(weights: Weights) -> list[str]:
    """Return the names of the files at the top level of the weights, or the file that is named."""
    if weights.path is not None:
        return [weights.path.name] if weights.path.is_file() else sorted(p.name for p in weights.path.iterdir())
    if weights.file:
        return [weights.file]
    hub = _hub()
    where, arguments = location(weights)
    if hub.constants.HF_HUB_OFFLINE:
        folder = Path(hub.snapshot_download(where, **arguments))
        return sorted(p.name for p in folder.iterdir())
    return [name for name in hub.list_repo_files(where, **arguments) if "/" not in name]
