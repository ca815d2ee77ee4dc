"""The licences that the sources of a manifest state, as a run records them: their files may be gone later."""

from __future__ import annotations

from pathlib import Path

from p3d_gen.spec.inventory import OCCLUDERS, Inventory
from p3d_gen.spec.licences import Licence, asset_licence, file_licence
from p3d_gen.spec.manifest import Manifest, resolve_file, resolve_folder
from p3d_gen.spec.sections import EMBEDDED
from p3d_gen.spec.taken import background_folder, embedded_folder, light_folder


def source_root(manifest: Manifest, base_dir: Path, kind: str) -> Path | None:
    """Return the folder of a source, up to which licences are looked for; None if its shapes are computed.

    kind: cad/<category>, texture, hdri or background.
    """
    if kind == f"cad/{OCCLUDERS}":
        return resolve_folder(manifest.occlusion.source, base_dir, "occlusion.source")
    kind = kind.partition("/")[0]
    if kind == "cad":
        source = manifest.cad.source
        return None if source == EMBEDDED else resolve_folder(source, base_dir, "cad.source")
    if kind == "texture":
        source = manifest.texture.source
        embedded = embedded_folder("textures").parent  # where their licence lies
        return embedded if source == EMBEDDED else resolve_folder(source, base_dir, "texture.source")
    return (light_folder if kind == "hdri" else background_folder)(manifest, base_dir)


def viewpoint_file(manifest: Manifest, base_dir: Path) -> Path | None:
    """Return the file of a manifest's viewpoints, None if it names none."""
    source = manifest.viewpoint.source
    return resolve_file(source, base_dir, "viewpoint.source") if source else None


def _entry(licence: Licence, file: str) -> list[str]:
    return [licence.id, licence.stated_in, file]


def source_licences(manifest: Manifest, base_dir: Path, inventory: Inventory) -> dict[str, dict[str, list[str]]]:
    """Return kind -> id -> licence, the file that states it, and the asset's file below its source.

    The kinds are those of `Inventory.listing`; computed shapes are left out. AssetError if a `licences.toml` cannot be
    used.
    """
    stated: dict[str, dict[str, list[str]]] = {}
    for kind, assets in inventory.by_kind().items():
        files = [asset for asset in assets if not asset.is_parametric]
        root = source_root(manifest, base_dir, kind) if files else None
        if root:
            stated[kind] = {
                asset.id: _entry(asset_licence(asset, root), asset.path.relative_to(root).as_posix()) for asset in files
            }
    if path := viewpoint_file(manifest, base_dir):
        stated["viewpoint"] = {manifest.viewpoint.source: _entry(file_licence(path, path.parent), path.name)}
    return stated
