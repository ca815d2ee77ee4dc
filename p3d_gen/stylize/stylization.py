"""The stylizations of a run: the manifest's own, and those with a name that stand beside it.

RUN/stylize-NAME/settings.json  what the stylization NAME is, written first
RUN/stylize-NAME/<shard>.tar    its sidecar shards, with the keys of the render's
RUN/shards-NAME/<shard>.tar     the samples packed from them
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import ManifestError, RunError, did_you_mean
from p3d_gen.run.files import read_json, write_json
from p3d_gen.run.store import SCHEMA_VERSION, RunFolder, difference
from p3d_gen.spec.manifest import Manifest, resolve_folder
from p3d_gen.spec.sections import validated
from p3d_gen.spec.stylize import Stylize
from p3d_gen.stylize.control import needed_members
from p3d_gen.stylize.prompts import check_words, load_templates
from p3d_gen.stylize.weights import check_weights

Given = tuple[Stylize, Path]
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class Stylization:
    """What is made of a run's renders. name: "" for the manifest's own. base_dir: where relative paths start.
    templates: of its prompts."""

    name: str
    settings: Stylize
    base_dir: Path
    templates: tuple[str, ...]

    def _named(self, kind: str) -> str:
        return f"{kind}-{self.name}" if self.name else kind

    @property
    def stage(self) -> str:
        """The folder of its sidecar shards."""
        return self._named("stylize")

    @property
    def packed(self) -> str:
        """The folder of its packed shards."""
        return self._named("shards")

    def file(self, run: RunFolder, stem: str, suffix: str) -> Path:
        """A file about it in the run folder, such as its contact sheet."""
        return run.root / f"{self._named(stem)}{suffix}"

    def made_from(self, run: RunFolder) -> Any:
        """What decides the bytes of its shards beside the render's, for `store.stage_inputs`: of a named one its
        settings and the run's seed. A prompt file counts by what it says."""
        prompts = {"prompts": self.templates} if self.settings.prompt_file else {}
        if self.name:
            return {"seed": run.manifest.seed, "settings": self.settings.model_dump(mode="json"), **prompts}
        return {"manifest": run.manifest_hash, **prompts}


def _settings_file(run: RunFolder, name: str) -> Path:
    return run.root / f"stylize-{name}" / "settings.json"


def stylization_names(run: RunFolder) -> list[str]:
    """The names of a run's named stylizations."""
    return sorted(path.parent.name.removeprefix("stylize-") for path in run.root.glob("stylize-*/settings.json"))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RunError(f"--name {name!r} cannot name a stylization: use letters, digits, _ and -")


def _stored(path: Path) -> dict[str, Any] | None:
    """The content of settings.json; None where there is none."""
    try:
        data = read_json(path)
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {data['schema_version']} where this p3dgen reads {SCHEMA_VERSION}")
        return {"schema_version": SCHEMA_VERSION, "base_dir": str(data["base_dir"]), "settings": data["settings"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be used: {error}; delete its folder, or choose another --name") from None


def _content(settings: Stylize, base_dir: Path) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "base_dir": str(base_dir),
        "settings": settings.model_dump(mode="json"),
    }


def _of(name: str, settings: Stylize, base_dir: Path) -> Stylization:
    return Stylization(name=name, settings=settings, base_dir=base_dir, templates=load_templates(settings, base_dir))


def open_stylization(run: RunFolder, name: str = "") -> Stylization:
    """The manifest's own stylization, or the one of that name. RunError where there is none."""
    if not name:
        return _of("", run.manifest.stylize, run.base_dir)
    _check_name(name)
    path = _settings_file(run, name)
    data = _stored(path)
    if data is None:
        names = stylization_names(run)
        known = did_you_mean(name, names) if names else "; there is none with a name"
        raise RunError(f"{run.root} has no stylization {name!r}{known}; `p3dgen stylize --name {name}` makes it")
    settings = validated(Stylize, data["settings"], str(path), "stylization")
    return _of(name, settings, Path(data["base_dir"]))


def check_settings(manifest: Manifest, settings: Stylize, base_dir: Path) -> None:
    """ManifestError where samples of the manifest cannot be stylised so: prompts, or labels that are not rendered."""
    check_words(settings, load_templates(settings, base_dir), manifest.categories)
    for member in needed_members(settings):
        if member not in manifest.output.members:
            raise ManifestError(
                f"stylize.control reads the renders' {member}, which output.members does not name: add it there"
            )


def _checked(run: RunFolder, settings: Stylize, base_dir: Path) -> None:
    """Everything that can be known to be wrong before anything is made, weights that are not there included."""
    check_settings(run.manifest, settings, base_dir)
    if settings.pose_model:
        resolve_folder(settings.pose_model, base_dir, "stylize.pose_model")
    if settings.stylizer != "none":
        check_weights(settings, base_dir)


def _wanted(
    run: RunFolder, stored: dict[str, Any] | None, where: Path, given: Given | None, min_survival: float | None
) -> Given:
    """The settings that a call asks for: those given, else those stored, else the manifest's."""
    if given is not None:
        wanted, base_dir = given
    elif stored is not None:
        wanted = validated(Stylize, stored["settings"], str(where), "stylization")
        base_dir = Path(stored["base_dir"])
    else:
        wanted, base_dir = run.manifest.stylize, run.base_dir
    if min_survival is not None:
        wanted = wanted.model_copy(update={"min_survival": min_survival})
    return wanted, base_dir


def create_stylization(
    run: RunFolder, name: str = "", given: Given | None = None, min_survival: float | None = None
) -> Stylization:
    """The stylization that a call of `p3dgen stylize` asks for; one with a name is recorded in the run first.

    All that can be checked before anything is made is checked first.

    given: settings, and where their relative paths start; without them a known name means what it meant before, and a
    new one the manifest's own settings. min_survival goes before that of the settings. RunError where the name stands
    for something else already, or where the manifest's own stylization would not be the manifest's.
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
    wanted, base_dir = _wanted(run, stored, path, given, min_survival)
    content = _content(wanted, base_dir)
    if stored not in (None, content):
        raise RunError(f"{path} says otherwise ({difference(stored, content)}): choose another --name")
    _checked(run, wanted, base_dir)
    if stored is None:
        write_json(path, content)
    return _of(name, wanted, base_dir)
