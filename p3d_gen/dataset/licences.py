"""The assets that samples are made of, and the licences that their sources state."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DependencyError, ManifestError, RunError
from p3d_gen.core.types import OWN_OCCLUDER
from p3d_gen.dataset.source_runs import DatasetSample, SourceRun
from p3d_gen.run.files import file_sha256, read_sealed
from p3d_gen.run.store import RunFolder, open_run
from p3d_gen.spec.inventory import OCCLUDERS, Asset
from p3d_gen.spec.licences import UNKNOWN, Licence, asset_licence, file_licence, stated_licence
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.stated import source_root, viewpoint_file
from p3d_gen.stylize.stylization import Stylization, open_stylization
from p3d_gen.stylize.weights import all_weights, licence, names_of_weights, pinned

Written = Callable[[], list[dict[str, str]]]

_log = logging.getLogger(__name__)
# The kinds of assets that every sample of a run is made of.
_OF_ALL = ("checkpoint", "viewpoints")


@dataclass(frozen=True, kw_only=True)
class AssetUse:
    """An asset that samples are made of. kind: cad, texture, hdri, background, viewpoints, occluder or checkpoint.

    id: as the samples' labels spell it; <category>/<id> for a CAD model. file: its path below its source, the address
    of a computed one, or "". path: of its file, None if it has none or is not there. licence: the stated one, and the
    place that states it. sha256: of a file that is not there, as far as it is known.
    """

    kind: str
    id: str
    file: str
    path: Path | None
    licence: Licence
    sha256: str = ""

    def entry(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "kind": self.kind,
            "id": self.id,
            "file": self.file,
            "sha256": _sha256(self.path) if self.path else self.sha256,
            "licence": self.licence.id,
            "stated_in": self.licence.stated_in,
        }


_sha256 = functools.cache(file_sha256)


def occluder_use(occluder: str) -> set[tuple[str, str]]:
    """Return the kind and id of the asset that the label `occluder` names; nothing for an empty one."""
    own = occluder.removeprefix(OWN_OCCLUDER)
    if own != occluder:
        return {("cad", f"{OCCLUDERS}/{own}")}
    return {("occluder", "parametric")} if occluder else set()


def _asset_use(kind: str, name: str, asset: Asset, root: Path | None) -> AssetUse:
    stated = asset_licence(asset, root)
    if asset.is_parametric or root is None:
        return AssetUse(kind=kind, id=name, file=asset.address, path=None, licence=stated)
    file = asset.path.relative_to(root).as_posix()
    return AssetUse(kind=kind, id=name, file=file, path=asset.path, licence=stated)


def _written(kind: str, name: str, written: Written) -> AssetUse:
    """Return an asset whose file is not there, with what `p3dgen licenses` wrote about it when it was."""
    for each in written():
        if (each["kind"], each["id"]) == (kind, name):
            licence = Licence(id=each["licence"], stated_in=each.get("stated_in", ""))
            file, sha256 = each.get("file", ""), each.get("sha256", "")
            return AssetUse(kind=kind, id=name, file=file, path=None, licence=licence, sha256=sha256)
    return AssetUse(kind=kind, id=name, file="", path=None, licence=Licence(id=UNKNOWN, stated_in=""))


def _gone(run: RunFolder, kind: str, name: str, written: Written, section: str, recorded: str) -> AssetUse:
    """Return an asset whose file is not there, as the run recorded it when it was begun.

    section, recorded: its kind and id there. Version 0.1.0 recorded no licences, and some are stated only later.
    """
    entry = run.origin.licences.get(section, {}).get(recorded)
    use = _written(kind, name, written)
    if entry is None or (entry[0] == UNKNOWN and use.licence.id != UNKNOWN):
        return use
    stated, stated_in, file = entry
    sha256 = run.origin.contents.get(section, {}).get(recorded, "")
    licence = Licence(id=stated, stated_in=stated_in)
    return AssetUse(kind=kind, id=name, file=file, path=None, licence=licence, sha256=sha256)


def _assets(run: RunFolder, written: Written) -> Iterator[AssetUse]:
    for section, assets in run.inventory.by_kind().items():
        kind, _, category = section.partition("/")
        is_here = any(asset.is_here for asset in assets)
        root = source_root(run.manifest, run.base_dir, section) if is_here else None
        for asset in assets:
            name = f"{category}/{asset.id}" if category else asset.id
            if asset.is_here or asset.is_parametric:
                yield _asset_use(kind, name, asset, root)
            else:
                yield _gone(run, kind, name, written, section, asset.id)
    if run.manifest.occlusion.level != "none" and OCCLUDERS not in run.inventory.cads:
        yield _asset_use("occluder", "parametric", Asset(id="parametric", address="parametric:"), None)
    source = run.manifest.viewpoint.source
    if source and "viewpoint" in run.inventory.lacking:
        yield _gone(run, "viewpoints", source, written, "viewpoint", source)
    elif path := viewpoint_file(run.manifest, run.base_dir):
        yield AssetUse(kind="viewpoints", id=source, file=path.name, path=path, licence=file_licence(path, path.parent))


def _checkpoints(stylization: Stylization, written: Written) -> Iterator[AssetUse]:
    """Yield the weights that a stylization names. If a model card cannot be reached, its licence is unknown.

    If some weights are not there, none are looked at.
    """
    if stylization.settings.stylizer == "none":
        return
    try:
        by_model = all_weights(stylization.settings, stylization.base_dir)
    except (ManifestError, DependencyError):
        yield from (_written("checkpoint", name, written) for name in names_of_weights(stylization.settings))
        return
    for weights in chain.from_iterable(by_model.values()):
        try:
            stated = stated_licence(licence(pinned(weights)))
        except DependencyError:
            stated = UNKNOWN
        stated_in = "" if stated == UNKNOWN else "its model card"
        part = f"/{weights.path.name}" if weights.name == EMBEDDED and weights.path else ""
        name = weights.name + part
        yield AssetUse(kind="checkpoint", id=name, file="", path=None, licence=Licence(id=stated, stated_in=stated_in))


def asset_uses(run: RunFolder, stylization: Stylization) -> list[AssetUse]:
    """Return all assets that samples of a run may be made of. AssetError if a `licences.toml` cannot be used.

    Of files that are not there, the run recorded it; of checkpoints, `p3dgen licenses` wrote it when they were.
    """
    written = functools.cache(lambda: _written_licences(run, stylization.packed) or [])
    return [*_assets(run, written), *dict.fromkeys(_checkpoints(stylization, written))]


def _written_licences(run: RunFolder, stage: str) -> list[dict[str, str]] | None:
    """Return the assets of a packed stage as `p3dgen licenses` wrote them; None if it did not run."""
    path = run.root / f"licences{stage.removeprefix('shards')}.json"
    try:
        assets = read_sealed(path)["assets"]
        if any(not isinstance(each[key], str) for each in assets for key in ("kind", "id", "licence")):
            raise TypeError("an asset is not described by texts")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} is damaged: {error!r}; delete it, and make it again by `p3dgen licenses {run.root}`"
        ) from None
    return list(assets)


def stated_licences(source: SourceRun, samples: Sequence[DatasetSample]) -> list[dict[str, str]]:
    """Return the licences of the assets that a run's samples show.

    If its sources are not there they are those that it recorded. A run of version 0.1.0 recorded none: they are those
    that `p3dgen licenses` wrote then; [] with a warning if it did not run.
    """
    run = open_run(source.run.root, needs=())
    if run.inventory.lacking and not run.origin.licences:
        if (written := _written_licences(source.run, source.stage)) is None:
            reason = next(iter(run.inventory.lacking.values()))
            _log.warning("the licences of %s are not known, so the card states none: %s", source.run.root, reason)
        return [{key: each[key] for key in ("kind", "id", "licence")} for each in written or []]
    uses = asset_uses(run, open_stylization(run, source.stage.removeprefix("shards").removeprefix("-")))
    shown: set[tuple[str, str]] = {each for sample in samples for each in occluder_use(sample.occluder)}
    for sample in samples:
        shown.update(sample.ids.items())
    return [
        {"kind": each.kind, "id": each.id, "licence": each.licence.id}
        for each in uses
        if each.kind in _OF_ALL or (each.kind, each.id) in shown
    ]
