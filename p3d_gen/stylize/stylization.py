"""The stylizations of a run: the manifest's own, and further ones with a name.

RUN/stylize-NAME/settings.json  the settings of the stylization NAME, written first
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
    """One way to stylize a run's renders.

    name: its name, "" for the manifest's own. base_dir: folder in which relative paths start. templates: templates of
    its prompts.
    """

    name: str
    settings: Stylize
    base_dir: Path
    templates: tuple[str, ...]

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
        """Return the data that decides the bytes of its shards, next to the renders, for `store.stage_inputs`.

        For a named one these are its settings and the run's seed. A prompt file counts by its content.
        """
        prompts = {"prompts": self.templates} if self.settings.prompt_file else {}
        if self.name:
            return {"seed": run.manifest.seed, "settings": self.settings.model_dump(mode="json"), **prompts}
        return {"manifest": run.manifest_hash, **prompts}


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
        data = read_json(path)
        if data["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {data['schema_version']}, but this p3dgen reads {SCHEMA_VERSION}")
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
    """Open the manifest's own stylization, or the one of that name. Raise RunError if there is none."""
    if not name:
        return _of("", run.manifest.stylize, run.base_dir)
    _check_name(name)
    path = _settings_file(run, name)
    data = _stored(path)
    if data is None:
        names = stylization_names(run)
        known = did_you_mean(name, names) if names else "; it has no stylization with a name"
        raise RunError(f"{run.root} has no stylization {name!r}{known}; `p3dgen stylize --name {name}` makes it")
    settings = validated(Stylize, data["settings"], str(path), "stylization")
    return _of(name, settings, Path(data["base_dir"]))


def check_settings(manifest: Manifest, settings: Stylize, base_dir: Path) -> None:
    """Raise ManifestError if the settings do not fit the manifest: prompts, or labels that are not rendered."""
    check_words(settings, load_templates(settings, base_dir), manifest.categories)
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


def _wanted(
    run: RunFolder, stored: dict[str, Any] | None, where: Path, given: Given | None, min_survival: float | None
) -> Given:
    """Return the settings that a call asks for: those given, or those stored, or the manifest's."""
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
    content = _content(wanted, base_dir)
    if stored not in (None, content):
        raise RunError(f"{path} holds other settings ({difference(stored, content)}): choose another --name")
    _checked(run, wanted, base_dir)
    if stored is None:
        write_json(path, content)
    return _of(name, wanted, base_dir)
