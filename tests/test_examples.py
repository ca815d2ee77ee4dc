"""The notebooks run from their first cell to their last, and hold the pictures that they made."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = ["01_generate", "02_train_and_predict", pytest.param("03_adapt", marks=pytest.mark.slow)]


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.blender
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_its_pictures(name, tmp_path):
    stored = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    nbformat.validate(stored)
    executed = nbformat.from_dict({**stored})
    NotebookClient(executed, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert pictures(executed) == pictures(stored) > 0
    assert not any(output.output_type == "error" for output in outputs(stored))


def test_every_notebook_is_run():
    assert sorted(path.stem for path in EXAMPLES.glob("*.ipynb")) == [
        getattr(name, "values", [name])[0] for name in NAMES
    ]
