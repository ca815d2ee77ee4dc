"""The list of a run's prepared CAD models, RUN/cad/models.json."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.run.files import read_sealed
from p3d_gen.spec.inventory import Inventory


def models_file(root: Path) -> Path:
    """Return the path of the list in a run folder."""
    return root / "cad" / "models.json"


def read_models(run_folder: Path) -> dict[str, Any] | None:
    """Return the facts of a run's CAD models; None until they are prepared.

    They are {category: {id: facts}, ..., "quarantined": {"category/id": reason}}.
    """
    path = models_file(run_folder)
    try:
        models = read_sealed(path)
        if not all(isinstance(reason, str) for reason in models["quarantined"].values()):
            raise TypeError("a reason is not a text")
        if not all(isinstance(sha256, str) for sha256 in prepared_sha256(models).values()):
            raise TypeError("a checksum is not a text")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} is not a list of models: {error!r}; delete it, and the run prepares them again"
        ) from None
    return dict(models)


def prepared_sha256(models: dict[str, Any]) -> dict[str, str]:
    """Return path below RUN/cad -> sha256 of the prepared models' files, as far as it is recorded."""
    return {
        f"{category}/{name}{suffix}": fact[key]
        for category, facts in models.items()
        if category != "quarantined"
        for name, fact in facts.items()
        for key, suffix in (("sha256", ".npz"), ("materials_sha256", ".blend"))
        if key in fact
    }


def without(inventory: Inventory, quarantined: Container[str]) -> Inventory:
    """Return the inventory without the models that are left out, category/id."""
    cads = {
        category: tuple(cad for cad in assets if f"{category}/{cad.id}" not in quarantined)
        for category, assets in inventory.cads.items()
    }
    return replace(inventory, cads=cads)
