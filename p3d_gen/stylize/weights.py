"""Where the weights of a stylization come from, which revision of them is loaded, and their licence."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from p3d_gen.core.errors import DependencyError
from p3d_gen.run.files import file_sha256
from p3d_gen.spec.inventory import embedded_folder
from p3d_gen.spec.manifest import resolve_file, resolve_folder
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.stylize import Stylize

T = TypeVar("T")
# owner/name, then a file of that repository, then @revision
_LIGHT_BYTES = 200e6
_HUB = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:/(?P<file>[\w./-]+\.\w+))?(?:@(?P<revision>[\w./-]+))?")
_FORMATS = (".safetensors", ".bin", ".pt")


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are named in settings.

    name: as the settings spell it; key: where they do.
    repo, file, revision: of the hub; file and revision "" where none is named. All three are "" for a path.
    path: the folder or file; None for the hub.
    """

    name: str
    key: str
    repo: str = ""
    file: str = ""
    revision: str = ""
    path: Path | None = None


def named_weights(name: str, base_dir: Path, key: str) -> Weights:
    """What a name of weights means.

    `owner/name`, `owner/name@revision` and `owner/name/file.safetensors` are of the hub; a path starts with '.', '/',
    '~' or '${' and is relative to `base_dir`. ManifestError where a path leads nowhere.
    """
    if (match := _HUB.fullmatch(name)) is not None:
        repo, file, revision = (match[part] or "" for part in ("repo", "file", "revision"))
        return Weights(name=name, key=key, repo=repo, file=file, revision=revision)
    resolve = resolve_file if name.endswith(_FORMATS) else resolve_folder
    return Weights(name=name, key=key, path=resolve(name, base_dir, key))


def model_weights(name: str, part: str, base_dir: Path, key: str) -> Weights:
    """The weights of a whole model, in the layout of diffusers. part: the folder of the embedded stylizer's.

    DependencyError where a folder lacks the file of configuration.
    """
    if name == EMBEDDED:
        found = Weights(name=name, key=key, path=embedded_folder("stylizer") / part)
        remedy = (
            "this installation comes without the embedded stylizer: train one with `p3dgen train-stylizer`, and name "
            "its folder"
        )
    else:
        found = named_weights(name, base_dir, key)
        remedy = "name a folder that diffusers' save_pretrained wrote, or a hub id"
    config = "model_index.json" if part == "base" else "config.json"
    if found.path is not None and not (found.path / config).is_file():
        raise DependencyError(f"{key} = {name!r}: there is no {config} in {found.path}; {remedy}")
    return found


def all_weights(settings: Stylize, base_dir: Path) -> dict[str, list[Weights]]:
    """All weights that the settings name, by what they are for.

    ManifestError where a path leads nowhere, DependencyError where a folder holds no model.
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
    """Whether all weights lie in files so small that every core may have a pipeline of its own in memory."""
    paths = [each.path for listed in all_weights(settings, base_dir).values() for each in listed]
    if None in paths:
        return False
    files = [file for path in paths if path is not None for file in (path, *path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) <= _LIGHT_BYTES


def check_weights(settings: Stylize, base_dir: Path) -> None:
    """Look for all weights that a stylization names, without loading them; neither torch nor a network is needed.

    ManifestError or DependencyError for a path that leads nowhere, a folder of another kind, and, where the hub is
    switched off by HF_HUB_OFFLINE, for a model that its cache does not hold.
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
        raise missing(model, f"the hub is switched off by HF_HUB_OFFLINE, and its cache does not hold {config}")


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
    """The error for weights that cannot be loaded."""
    if weights.repo:
        revision = f" --revision {weights.revision}" if weights.revision else ""
        remedy = (
            f"Fetch them where there is a network, `hf download {weights.repo}{revision} --local-dir FOLDER`, and name "
            "the folder in the manifest"
        )
    else:
        remedy = f"Look at what is in {weights.path}"
    return DependencyError(
        f"{weights.key} = {weights.name!r}: the weights cannot be loaded ({why}). {remedy}; or set "
        "stylize.stylizer = 'none', which passes renders through"
    )


def first_line(error: BaseException) -> str:
    """The first line of the error that started the chain: the last one tells of a file, the first of the network."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def loaded(weights: Weights, load: Callable[[], T]) -> T:
    """What `load` returns. DependencyError says which weights cannot be loaded, and why."""
    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError, RuntimeError) as error:
        raise missing(weights, first_line(error)) from error


def pinned(weights: Weights) -> Weights:
    """The same source with the revision of its repository resolved, so that all its files are of the same commit.

    DependencyError where neither the hub nor its cache knows the revision.
    """
    if weights.path is not None:
        return weights
    hub = _hub()
    try:
        return replace(weights, revision=hub.resolve_revision(weights.repo, revision=weights.revision or None))
    except (hub.errors.HfHubHTTPError, hub.errors.RevisionResolutionError, OSError) as error:
        raise missing(weights, first_line(error)) from error


def location(weights: Weights) -> tuple[str, dict[str, Any]]:
    """What from_pretrained wants: the repository or folder, and its arguments."""
    if weights.path is not None:
        return str(weights.path), {}
    return weights.repo, {"revision": pinned(weights).revision}


def revision(weights: Weights) -> str:
    """The commit of a repository, or the sha256 over the names and contents of a path's files; hidden ones aside."""
    if weights.path is None:
        return str(pinned(weights).revision.resolved)  # type: ignore[attr-defined]
    if weights.path.is_file():
        return file_sha256(weights.path)
    total = hashlib.sha256()
    for file in sorted(weights.path.rglob("*")):
        name = file.relative_to(weights.path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            total.update(f"{name.as_posix()} {file_sha256(file)}\n".encode())
    return total.hexdigest()


def licence(weights: Weights) -> str:
    """The licence that the model card states, README.md in the folder or repository; `unknown` where it states none."""
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
    """The one file that holds a low-rank adaptation or an embedding; safetensors before other formats.

    DependencyError where a folder or repository holds none, or several of which one must be named.
    """
    names = _names(weights)
    found = next((those for form in _FORMATS if (those := [n for n in names if n.endswith(form)])), [])
    if len(found) != 1:
        why = f"it holds {len(found) or 'no'} files of weights{', name one: ' * bool(found)}{', '.join(found)}"
        raise missing(weights, why)
    if weights.path is not None:
        return weights.path if weights.path.is_file() else weights.path / found[0]
    where, arguments = location(weights)
    try:
        return Path(_hub().hf_hub_download(where, found[0], **arguments))
    except OSError as error:
        raise missing(weights, first_line(error)) from error


def _names(weights: Weights) -> list[str]:
    """The names of the files at a source's top level, or the one that it names."""
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
