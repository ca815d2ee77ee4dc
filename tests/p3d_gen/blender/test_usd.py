"""Materials of USD files that Blender's importer shows in grey are named, and no others."""

import pytest

from p3d_gen.blender.client import BlenderWorker
from p3d_gen.render.prepare import prepare_model
from p3d_gen.run.cad_model import load_cad
from p3d_gen.spec.inventory import Asset

pytestmark = pytest.mark.blender

MODEL = """#usda 1.0
def Mesh "wedge" (prepend apiSchemas = ["MaterialBindingAPI"])
{{
    int[] faceVertexCounts = [3, 3, 3, 3]
    int[] faceVertexIndices = [0, 2, 1, 0, 1, 3, 1, 2, 3, 2, 0, 3]
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    rel material:binding = </paint>
}}
def Material "paint"
{{
    {output}
    def NodeGraph "graph"
    {{
        color3f outputs:out.connect = </paint/graph/node.outputs:out>
        def Shader "node"
        {{
            uniform token info:id = "ND_checkerboard_color3"
            color3f outputs:out
        }}
    }}
    def Shader "preview"
    {{
        uniform token info:id = "UsdPreviewSurface"
        {colour}
        token outputs:surface
    }}
    def Shader "standard"
    {{
        uniform token info:id = "ND_standard_surface_surfaceshader"
        token outputs:surface
    }}
}}
def Material "unused"
{{
    token outputs:mtlx:surface.connect = </paint/standard.outputs:surface>
}}
"""
PREVIEW, STANDARD = (f"surface.connect = </paint/{name}.outputs:surface>" for name in ("preview", "standard"))
RED, GRAPH = "inputs:diffuseColor = (0.8, 0.1, 0.1)", "inputs:diffuseColor.connect = </paint/graph.outputs:out>"


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker(timeout_s=120) as blender:
        yield blender


@pytest.mark.parametrize(
    ("outputs", "colour", "unread"),
    [
        ([f"outputs:{PREVIEW}"], RED, ""),
        ([f"outputs:{PREVIEW}", f"outputs:mtlx:{STANDARD}"], RED, ""),  # of two surfaces, the one for all is read
        ([], RED, ""),
        ([f"outputs:mtlx:{STANDARD}"], RED, "ND_standard_surface_surfaceshader"),
        ([f"outputs:{STANDARD}"], RED, "ND_standard_surface_surfaceshader"),
        ([f"outputs:{PREVIEW}"], GRAPH, "ND_checkerboard_color3"),
    ],
)
def test_materials_that_are_not_read_are_named(run, worker, tmp_path, outputs, colour, unread):
    source = tmp_path / "wedge.usda"
    lines = "\n    ".join(f"token {output}" for output in outputs)
    source.write_text(MODEL.format(output=lines, colour=f"color3f {colour}"))
    assert prepare_model(run, worker, "car", Asset(id="wedge", address=str(source))) == ""
    said = f"the material 'paint' needs {unread}, which is not read: "
    said += "export it with a UsdPreviewSurface and baked pictures, or as GLB"
    assert load_cad(run.cad_file("car", "wedge")).warnings == ((said,) if unread else ())
