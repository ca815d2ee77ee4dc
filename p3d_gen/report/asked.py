"""The section of a report on the manifest of the run."""

from __future__ import annotations

import json
from typing import Any

from p3d_gen.report.page import PageSection, Table
from p3d_gen.run.store import RunFolder
from p3d_gen.spec.manifest import Manifest
from p3d_gen.stylize.stylization import Stylization


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return a manifest's nested tables with dotted keys."""
    if not isinstance(value, dict) or not value:
        return {path: value}
    return {
        name: leaf
        for key, item in value.items()
        for name, leaf in _flat(item, f"{path}.{key}" if path else str(key)).items()
    }


def _stylization_table(run: RunFolder, stylization: Stylization) -> tuple[Table, ...]:
    """Return the settings of a named stylization that differ from the manifest's own; nothing for that itself."""
    if not stylization.name:
        return ()
    own, values = (_flat(each.model_dump(mode="json")) for each in (run.manifest.stylize, stylization.settings))
    keys = [key for key in {**own, **values} if own.get(key) != values.get(key)]
    rows = tuple((f"stylize.{key}", *(_shown(each.get(key)) for each in (own, values))) for key in keys)
    return (Table(caption=f"Stylization {stylization.name}", header=("key", "manifest", stylization.name), rows=rows),)


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def manifest_section(run: RunFolder, stylization: Stylization) -> PageSection:
    """Return the keys of the manifest, those with other values than the defaults first, and of a named stylization."""
    manifest = run.manifest
    defaults = _flat(
        Manifest(categories=("car",), samples_per_category=1).model_dump(
            mode="json", exclude={"categories", "samples_per_category"}
        )
    )
    values = _flat(manifest.model_dump(mode="json"))
    rows = tuple((key, _shown(value)) for key, value in values.items())
    changed = tuple(row for row in rows if row[0] not in defaults or defaults[row[0]] != values[row[0]])
    header = ("key", "value")
    return PageSection(
        title="Manifest",
        text="The settings that the run was made with.",
        tables=(
            *_stylization_table(run, stylization),
            Table(caption="Keys with other values than the defaults", header=header, rows=changed),
            Table(caption="All keys", header=header, rows=rows, folded=True),
        ),
    )
