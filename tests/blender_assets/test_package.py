"""The package as a whole: it stands on its own, and its licence states what holds for which files."""

import ast
import sys
from pathlib import Path

import blender_assets
from p3d_gen.spec.licences import file_licence

ROOT = Path(blender_assets.__file__).parent


def imported(path):
    """The packages that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


def test_the_code_needs_numpy_and_opencv_alone():
    names = {name for path in ROOT.rglob("*.py") for name in imported(path)}
    assert names - sys.stdlib_module_names == {"blender_assets", "numpy", "cv2"}
    assert {name for path in (ROOT / "shapes").rglob("*.py") for name in imported(path)} & {"cv2"} == set()


def test_the_licence_states_every_kind_of_file():
    lines = [line.split() for line in (ROOT / "LICENSE").read_text().splitlines() if "*." in line]
    stated = {words[0] + word.strip("*,") for words in lines for word in words[1:] if word.startswith("*.")}
    assert stated == {
        f"{path.relative_to(ROOT).parts[0]}/{path.suffix}"
        for path in ROOT.rglob("*.*")
        if path.is_file() and path.parent != ROOT and path.suffix != ".pyc"
    }


def test_assets_are_cc0_to_the_project_itself():
    picture = next((ROOT / "textures").rglob("*.jpg"))
    assert file_licence(picture, ROOT).id == "CC0-1.0"
