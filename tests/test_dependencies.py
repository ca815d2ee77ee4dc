"""Every third-party module that the packages import is provided by a dependency that pyproject.toml declares for it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("p3d_gen", "pose_models", "blender_assets")
# Modules of which the metadata of their packages says nothing, or whose package needs not be installed.
DISTRIBUTIONS = {"OpenEXR": "OpenEXR", "bmesh": "bpy", "mathutils": "bpy", "pytorch3d": "pytorch3d"}
# Files that may import what an extra brings, by the beginning of their path; all others import what is always there.
EXTRAS = {
    "p3d_gen/blender/": ("render",),
    "p3d_gen/run/ray.py": ("ray",),
    "p3d_gen/run/remote.py": ("http",),
    "p3d_gen/stylize/": ("stylize",),
    "p3d_gen/bench/": ("render", "stylize"),
    "pose_models/rasterise/pytorch3d.py": ("pose", "pytorch3d"),
    "pose_models/bench/raster.py": ("pose", "pytorch3d"),
    "pose_models/": ("pose",),
}

project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
optional = project["optional-dependencies"]


def named(requirements):
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def imported(path):
    """Return the top-level names of the third-party modules that a file imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            modules |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - set(PACKAGES)


def allowed(path):
    """Return the distributions that a file may rely on."""
    extras = next((extras for start, extras in EXTRAS.items() if path.startswith(start)), ())
    return named(project["dependencies"]).union(*(named(optional[extra]) for extra in extras))


def test_what_is_imported_is_declared():
    provided = packages_distributions() | {module: [name] for module, name in DISTRIBUTIONS.items()}
    undeclared = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            for module in imported(file):
                names = {canonicalize_name(name) for name in provided.get(module, ())}
                if not names & allowed(path):
                    undeclared.append(f"{path}: {module}")
    assert not undeclared


def test_an_import_within_a_function_counts(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("import json\nfrom . import y\ndef f():\n    from a.b import c\n    import_module('d.e')\n")
    assert imported(file) == {"a", "d"}


@pytest.mark.parametrize("extra", sorted(set(optional) - {"all", "dev", "pytorch3d"}))
def test_all_brings_every_extra(extra):
    (everything,) = optional["all"]
    assert extra in Requirement(everything).extras
