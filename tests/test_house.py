"""The house keeps its floors: imports never run up, never in a circle, and never load what is heavy."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("p3d_gen", "pose_models", "blender_assets")
FLOORS = {
    "blender_assets": 0,
    "p3d_gen.core": 0,
    "p3d_gen.spec": 1,
    "p3d_gen.run": 2,
    "p3d_gen.blender": 3,
    "p3d_gen.stylize": 3,
    "p3d_gen.dataset": 4,
    "p3d_gen.pack": 4,
    "p3d_gen.render": 4,
    "p3d_gen.bench": 5,
    "p3d_gen.catalogue": 5,
    "p3d_gen.export": 5,
    "p3d_gen.report": 5,
    "p3d_gen.verify": 5,
    "p3d_gen.stages": 5,
    "p3d_gen.api": 6,
    "p3d_gen": 7,
    "p3d_gen.cli": 8,
}
BLENDER = {"bpy", "bmesh", "mathutils"}


@cache
def modules():
    """{module: path} of all three packages."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(node, lazy):
    """The import statements below a node; those inside functions only where `lazy`, those for type checkers never."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not is_type_checking(child) and (lazy or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from statements(child, lazy)


def imports(module, lazy=True):
    """The modules that a module of ours imports, ours by their full names."""
    for node in statements(ast.parse(modules()[module].read_text()), lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in modules() else node.module


def floor(module):
    parts = module.split(".")
    return next(FLOORS[name] for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in FLOORS)


def test_no_import_runs_up():
    up = {
        f"{module} (floor {floor(module)}) imports {name} (floor {floor(name)})"
        for module in modules()
        if not module.startswith("pose_models")
        for name in imports(module)
        if name.split(".")[0] in ("p3d_gen", "blender_assets") and floor(name) > floor(module)
    }
    assert up == set()


def test_rooms_of_one_floor_are_no_circle():
    """Nor are the rooms of pose_models, and its single modules."""

    def room(module):
        parts = module.split(".")
        return ".".join(parts[:2])

    graph = {}
    for module in modules():
        own = graph.setdefault(room(module), set())
        own.update(room(name) for name in imports(module) if name in modules())
        own.discard(room(module))
    TopologicalSorter(graph).prepare()


def test_modules_are_no_circle():
    graph = {module: {name for name in imports(module) if name in modules()} - {module} for module in modules()}
    TopologicalSorter(graph).prepare()


def test_packages_look_one_way():
    for module in modules():
        others = {name.split(".")[0] for name in imports(module)} & set(PACKAGES)
        allowed = {"blender_assets": {"blender_assets"}, "p3d_gen": {"p3d_gen", "blender_assets"}}
        assert others <= allowed.get(module.split(".")[0], set(PACKAGES)), module


def test_bpy_is_imported_in_one_folder_only():
    for module in modules():
        if not module.startswith("p3d_gen.blender."):
            assert not BLENDER & {name.split(".")[0] for name in imports(module)}, module


@pytest.mark.parametrize("package", ["p3d_gen", "p3d_gen.cli", "pose_models", "pose_models.cli"])
def test_an_import_loads_nothing_heavy(package):
    heavy = [
        "torch",
        "bpy",
        "ray",
        "diffusers",
        "transformers",
        "cv2",
        "scipy",
        "trimesh",
        "timm",
        "webdataset",
        "matplotlib",
    ]
    code = f"import sys, {package}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_no_test_imports_a_test():
    for path in (ROOT / "tests").rglob("*.py"):
        for node in statements(ast.parse(path.read_text()), lazy=True):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any("test_" in name.rsplit(".", 1)[-1] for name in names), path
