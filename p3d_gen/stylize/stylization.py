"""The stylizations of a run: the manifest's own, and further ones with a name.

RUN/stylize-NAME/settings.json  the settings of the stylization NAME, written first
RUN/stylize-NAME/<shard>.tar    its sidecar shards, with the keys of the render's
RUN/shards-NAME/<shard>.tar     the samples packed from them
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import DependencyError, ManifestError, RunError, did_you_mean
from p3d_gen.run.files import read_sealed, sealed_json, write_bytes
from p3d_gen.run.record import SCHEMA_VERSION, base_dirs, difference, stored_base_dir
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.definitions import own_words
from p3d_gen.spec.manifest import Manifest, check_categories, resolve_folder
from p3d_gen.spec.sections import EMBEDDED, validated
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.control import needed_members
from p3d_gen.stylize.prompts import check_words, load_templates
from p3d_gen.stylize.weights import all_weights, check_weights, contents

_logger = logging.getLogger(__name__)
Given = tuple[Stylize, Path]
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NOWHERE = Path(os.devnull)  # no file is below it


@dataclass(frozen=True, kw_only=True)
class Stylization:
    """One way to stylize a run's renders.

    name: its name, "" for the manifest's own. base_dir: folder in which relative paths start.
    """

    name: str
    settings: Stylize
    base_dir: Path

    @cached_property
    def templates(self) -> tuple[str, ...]:
        """Return the templates of its prompts. ManifestError if its prompt file cannot be read."""
        return load_templates(self.settings, self.base_dir)

    @cached_property
    def weights(self) -> dict[str, str]:
        """Return name -> sha256 of the weights in files and folders, see `weights.contents`."""
        return contents(self.settings, self.base_dir)

    @cached_property
    def lacking_weights(self) -> str:
        """Return the reason why its weights are not there, "" if they are."""
        try:
            contents(self.settings, self.base_dir)
        except (ManifestError, DependencyError) as error:
            return str(error)
        return ""

    @cached_property
    def lacking(self) -> str:
        """Return the reason why its prompt file cannot be read, "" if it can."""
        try:
            load_templates(self.settings, self.base_dir)
        except ManifestError as error:
            return str(error)
        return ""

    def _named(self, kind: str) -> str:
        return f"{kind}-{self.name}" if self.name else kind

    @property
    def stage(self) -> str:
        """Return the name of the folder of its sidecar shards."""
        return self._named("stylize")

    @property
    def packed(self) -> str:
        """Return the name of the folder of its packed shards."""
        return self._named("shards")

    def file(self, run: RunFolder, stem: str, suffix: str) -> Path:
        """Return the path of a file about it in the run folder, such as its contact sheet."""
        return run.root / f"{self._named(stem)}{suffix}"

    def made_from(self, run: RunFolder) -> Any:
        """Return the data that decides the bytes of its shards, next to the renders, for `ledgers.stage_inputs`.

        These are its settings and the run's seed. A prompt file counts by its content, and so do weights, except those
        of the hub: they count by their names and revisions. ManifestError or DependencyError if one is not there.
        Earlier versions let the whole manifest decide, and no weights; runs that they began go on like that.
        """
        prompts: dict[str, Any] = {"prompts": self.templates} if self.settings.prompt_file else {}
        if words := own_words(run.inventory.definitions):
            prompts["words"] = words
        is_old = run.origin.inputs_version == 1
        if is_old and not self.name:
            return {"manifest": run.manifest_hash, **prompts}
        weights = {} if is_old else {"weights": self.weights}
        return {"seed": run.manifest.seed, "settings": self.settings.model_dump(mode="json"), **prompts, **weights}


def _settings_file(run: RunFolder, name: str) -> Path:
    return run.root / f"stylize-{name}" / "settings.json"


def stylization_names(run: RunFolder) -> list[str]:
    """Return the names of a run's named stylizations."""
    return sorted(path.parent.name.removeprefix("stylize-") for path in run.root.glob("stylize-*/settings.json"))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RunError(f"--name {name!r} cannot name a stylization: use letters, digits, _ and -")


def _stored(path: Path) -> dict[str, Any] | None:
    """Return the content of settings.json; None if there is no such file. Raise RunError if it cannot be used."""
    try:
        data = read_sealed(path)
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {data['schema_version']}, but this p3dgen reads {SCHEMA_VERSION}")
        return {**data, "base_dir": str(data["base_dir"]), "settings": data["settings"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} cannot be used: {error}; delete it and give --settings again, or choose another --name"
        ) from None


def _content(run: RunFolder, settings: Stylize, base_dir: Path) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        **stored_base_dir(run.root, base_dir),
        "settings": settings.model_dump(mode="json"),
    }


def _is_complete(settings: Stylize, base_dir: Path) -> bool:
    """Return True if all files that the settings name by relative paths are below this folder."""
    try:
        load_templates(settings, base_dir)
        if settings.stylizer != "none":
            all_weights(settings, base_dir)
    except (ManifestError, DependencyError):
        return False
    return True


def _base_dir(run: RunFolder, settings: Stylize, stored: dict[str, Any]) -> Path:
    """Return the folder in which the relative paths of stored settings start, which may have been moved since."""
    places = base_dirs(run.root, stored)
    return next((place for place in (*places, run.base_dir) if _is_complete(settings, place)), places[-1])


def _is_elsewhere(run: RunFolder, settings: Stylize, stored: dict[str, Any], base_dir: Path) -> bool:
    """Return True if stored settings name other files than the same settings in `base_dir` do."""
    places = base_dirs(run.root, stored)
    names_files = not _is_complete(settings, _NOWHERE)
    return names_files and base_dir not in places and any(_is_complete(settings, place) for place in places)


def open_stylization(run: RunFolder, name: str = "") -> Stylization:
    """Open the manifest's own stylization, or the one of that name. Raise RunError if there is none."""
    if not name:
        return Stylization(name="", settings=run.manifest.stylize, base_dir=run.base_dir)
    _check_name(name)
    path = _settings_file(run, name)
    data = _stored(path)
    if data is None and path.parent.exists():
        raise RunError(f"{path} is not there: `p3dgen stylize --name {name}` with the former --settings writes it")
    if data is None:
        names = stylization_names(run)
        known = did_you_mean(name, names) if names else "; it has no stylization with a name"
        raise RunError(f"{run.root} has no stylization {name!r}{known}; `p3dgen stylize --name {name}` makes it")
    settings = validated(Stylize, data["settings"], str(path), "stylization")
    return Stylization(name=name, settings=settings, base_dir=_base_dir(run, settings, data))


def check_settings(manifest: Manifest, settings: Stylize, base_dir: Path) -> None:
    """Raise ManifestError if the settings do not fit the manifest: prompts, or labels that are not rendered."""
    for key, names in settings.names_of_categories():
        try:
            check_categories(key, names, manifest.categories)
        except ValueError as error:
            raise ManifestError(str(error)) from None
    wordless = [name for name in BUILTIN if name not in manifest.category or not manifest.category[name].words]
    check_words(settings, load_templates(settings, base_dir), [c for c in manifest.categories if c in wordless])
    for member in needed_members(settings):
        if member not in manifest.output.members:
            raise ManifestError(
                f"stylize.control reads the renders' {member}, which output.members does not name: add it there"
            )


def _checked(run: RunFolder, settings: Stylize, base_dir: Path) -> None:
    """Check everything that can be wrong before anything is made, including missing weights."""
    check_settings(run.manifest, settings, base_dir)
    if settings.pose_model:
        resolve_folder(settings.pose_model, base_dir, "stylize.pose_model")
    if settings.stylizer != "none":
        check_weights(settings, base_dir)
        _say_unknown(run, settings)


def _say_unknown(run: RunFolder, settings: Stylize) -> None:
    """Log that the embedded stylizer does not know one's own categories: it has learned twelve words."""
    own = [name for name in run.manifest.categories if name not in BUILTIN]
    if own and settings.base == EMBEDDED:
        _logger.warning(
            "the embedded stylizer has learned the %d built-in categories, not %s: it follows the control picture and "
            "the colour, whatever the prompt calls the object",
            len(BUILTIN),
            ", ".join(own),
        )


def _wanted(
    run: RunFolder, stored: dict[str, Any] | None, where: Path, given: Given | None, min_survival: float | None
) -> Given:
    """Return the settings that a call asks for: those given, or those stored, or the manifest's."""
    if given is not None:
        wanted, base_dir = given
    elif stored is not None:
        wanted = validated(Stylize, stored["settings"], str(where), "stylization")
        base_dir = _base_dir(run, wanted, stored)
    else:
        wanted, base_dir = run.manifest.stylize, run.base_dir
    if min_survival is not None:
        wanted = wanted.model_copy(update={"min_survival": min_survival})
    return wanted, base_dir


def create_stylization(
    run: RunFolder, name: str = "", given: Given | None = None, min_survival: float | None = None
) -> Stylization:
    """Return the stylization that a call of `p3dgen stylize` asks for, after all possible checks.

    A stylization with a name is recorded in the run first.

    given: settings, and the folder in which their relative paths start. Without them a known name keeps its settings,
    and a new one takes the manifest's own with another `min_survival`. min_survival replaces that of the settings.
    Raise RunError if a new name comes without any setting, if a known name has other settings, or if the manifest's own
    stylization is asked for with other settings.
    """
    if not name:
        own = run.manifest.stylize
        if given is not None:
            raise RunError("--settings needs a --name: without one the manifest says how to stylize")
        if min_survival not in (None, own.min_survival):
            raise RunError(
                f"--min-survival {min_survival} is not the manifest's stylize.min_survival = {own.min_survival}: "
                "give this stylization a --name"
            )
        _checked(run, own, run.base_dir)
        return open_stylization(run)
    _check_name(name)
    path = _settings_file(run, name)
    stored = _stored(path)
    if stored is None and given is None and min_survival is None:
        raise RunError(
            f"{run.root} has no stylization {name!r} yet, and nothing says how it differs from the manifest's own: "
            "give --settings FILE or --min-survival, or leave --name out"
        )
    wanted, base_dir = _wanted(run, stored, path, given, min_survival)
    content = _content(run, wanted, base_dir)
    if stored and (stored["settings"] != content["settings"] or _is_elsewhere(run, wanted, stored, base_dir)):
        change = difference(*({name: each[name] for name in ("base_dir", "settings")} for each in (stored, content)))
        raise RunError(f"{path} holds other settings ({change}): choose another --name")
    _checked(run, wanted, base_dir)
    if stored is None or base_dir not in base_dirs(run.root, stored):
        write_bytes(path, sealed_json(content))
    return Stylization(name=name, settings=wanted, base_dir=base_dir)
