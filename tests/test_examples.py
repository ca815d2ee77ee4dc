"""The notebooks run from their first cell to their last, and hold the pictures that they made."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


def outputs(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook):
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.blender
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_pictures(path, tmp_path):
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    executed = nbformat.from_dict({**stored})
    NotebookClient(executed, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert pictures(executed) == pictures(stored) > 0
    assert not any(output.output_type == "error" for output in outputs(stored))


def test_all_three_notebooks_are_here():
    assert [path.stem for path in EXAMPLES] == ["01_generate", "02_train_and_predict", "03_adapt"]
