"""Makes models that test_native_looks.py looks at: `python tests/helpers/blender_looks.py FOLDER`."""

import sys
from pathlib import Path

import bpy

FOLDER = Path(sys.argv[1]).resolve()


def start(size=2.0, **place):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    return cube(size, **place)


def cube(size=2.0, **place):
    bpy.ops.mesh.primitive_cube_add(size=size, **place)
    return bpy.context.object


def material(item):
    made = bpy.data.materials.new("look")
    made.use_nodes = True
    item.data.materials.append(made)
    return made, made.node_tree.nodes, made.node_tree.links


def save(name):
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / f"{name}.blend"))


def base(nodes):
    return nodes["Principled BSDF"].inputs["Base Color"]


def green_where(nodes, links, output):
    """Paint green where a value is above 0.5, red elsewhere."""
    test, colour = nodes.new("ShaderNodeMath"), nodes.new("ShaderNodeMix")
    test.operation, test.inputs[1].default_value, colour.data_type = "GREATER_THAN", 0.5, "RGBA"
    colour.inputs["A"].default_value, colour.inputs["B"].default_value = (0.8, 0, 0, 1), (0, 0.8, 0, 1)
    links.new(output, test.inputs[0])
    links.new(test.outputs[0], colour.inputs["Factor"])
    links.new(next(each for each in colour.outputs if each.type == "RGBA"), base(nodes))


def write_colours():
    """Green colours at the corners of a face, and a second attribute, at the faces, that hides the first one."""
    item = start()
    _, nodes, links = material(item)
    item.data.color_attributes.new("red", "BYTE_COLOR", "CORNER").data.foreach_set("color", [1, 0, 0, 1] * 24)
    item.data.attributes.new("is green", "FLOAT", "FACE").data.foreach_set("value", [1.0] * 6)
    reader = nodes.new("ShaderNodeAttribute")
    reader.attribute_name = "is green"
    green_where(nodes, links, reader.outputs["Fac"])
    save("face_attribute")
    item = start()
    _, nodes, links = material(item)
    item.data.color_attributes.new("Col", "FLOAT_COLOR", "POINT").data.foreach_set("color", [0, 0.8, 0, 1] * 8)
    links.new(nodes.new("ShaderNodeVertexColor").outputs["Color"], base(nodes))
    bpy.ops.export_scene.gltf(filepath=str(FOLDER / "colours.glb"))


def write_places():
    """Two cubes that share a material: it tells them apart by the objects' own properties and places."""
    for name, kind, output in (
        ("location", "ShaderNodeObjectInfo", "Location"),
        ("position", "ShaderNodeNewGeometry", "Position"),
        ("object", "ShaderNodeTexCoord", "Object"),
        ("generated", "ShaderNodeTexCoord", "Generated"),
    ):
        item = start(40.0, location=(0, 0, 100))
        _, nodes, links = material(item)
        reader, length = nodes.new(kind), nodes.new("ShaderNodeVectorMath")
        length.operation = "LENGTH"
        links.new(reader.outputs[output], length.inputs[0])
        scale = nodes.new("ShaderNodeMath")
        scale.operation, scale.inputs[1].default_value = (
            "MULTIPLY",
            {"object": 1 / 40, "generated": 1e3}.get(name, 0.01),
        )
        links.new(length.outputs["Value"], scale.inputs[0])
        green_where(nodes, links, scale.outputs[0])
        save(name)
    item = start()
    _, nodes, links = material(item)
    item["tint"] = 0.9
    reader = nodes.new("ShaderNodeAttribute")
    reader.attribute_type, reader.attribute_name = "OBJECT", "tint"
    green_where(nodes, links, reader.outputs["Fac"])
    save("property")
    item = start()
    _, nodes, links = material(item)
    tangent = nodes.new("ShaderNodeTangent")
    links.new(tangent.outputs[0], nodes["Principled BSDF"].inputs["Tangent"])
    save("tangent")


def write_group():
    """Two materials that share a group: each reads another of two UV sets by it."""
    item = start()
    for layer in list(item.data.uv_layers):
        item.data.uv_layers.remove(layer)
    for name, u in (("a", 0.0), ("b", 1.0)):
        item.data.uv_layers.new(name=name).uv.foreach_set("vector", [u, 0.0] * 24)
    group = bpy.data.node_groups.new("reader", "ShaderNodeTree")
    group.interface.new_socket("value", in_out="OUTPUT", socket_type="NodeSocketFloat")
    end, uv, split, add = (
        group.nodes.new(name)
        for name in ("NodeGroupOutput", "ShaderNodeUVMap", "ShaderNodeSeparateXYZ", "ShaderNodeMath")
    )
    coordinates = group.nodes.new("ShaderNodeTexCoord")
    uv.uv_map = "b"
    group.links.new(uv.outputs[0], split.inputs[0])
    group.links.new(split.outputs[0], add.inputs[0])
    own = group.nodes.new("ShaderNodeSeparateXYZ")
    group.links.new(coordinates.outputs["UV"], own.inputs[0])
    group.links.new(own.outputs[0], add.inputs[1])
    group.links.new(add.outputs[0], end.inputs[0])
    for _ in range(2):
        _, nodes, links = material(item)
        caller = nodes.new("ShaderNodeGroup")
        caller.node_tree = group
        green_where(nodes, links, caller.outputs[0])
    item.data.polygons.foreach_set("material_index", [0, 1, 0, 1, 0, 1])
    save("group")


def write_hidden():
    """A cube among a holdout, a shadow catcher, an object that no camera sees, and hidden collections."""
    start()
    for number, name in enumerate(("is_holdout", "is_shadow_catcher", "visible_camera", "hide_render"), start=1):
        setattr(cube(location=(5 * number, 0, 0)), name, name != "visible_camera")
    for number, name in enumerate(("exclude", "holdout", "indirect_only"), start=1):
        folder = bpy.data.collections.new(name)
        bpy.context.scene.collection.children.link(folder)
        item = cube(location=(0, 5 * number, 0))
        bpy.context.scene.collection.objects.unlink(item)
        folder.objects.link(item)
        setattr(bpy.context.view_layer.layer_collection.children[name], name, True)
    bpy.context.scene.use_nodes = True
    output = bpy.context.scene.node_tree.nodes.new("CompositorNodeOutputFile")
    output.base_path = str(FOLDER / "written")
    save("hidden")


def write_glass():
    """A red cube in a cube of clear glass; and a sheet whose picture is a grille with alpha."""
    inner, outer = start(0.8), cube(2.0)
    _, nodes, _ = material(inner)
    base(nodes).default_value = (0.8, 0, 0, 1)
    _, nodes, _ = material(outer)
    nodes["Principled BSDF"].inputs["Alpha"].default_value = 0.05
    save("alpha")
    nodes["Principled BSDF"].inputs["Alpha"].default_value = 1.0
    nodes["Principled BSDF"].inputs["Transmission Weight"].default_value = 1.0
    nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.0
    nodes["Principled BSDF"].inputs["IOR"].default_value = 1.0
    base(nodes).default_value = (1, 1, 1, 1)
    save("transmission")
    item = start()
    _, nodes, links = material(item)
    picture = bpy.data.images.new("grille", 8, 8, alpha=True)
    picture.pixels = [value for y in range(8) for x in range(8) for value in (0, 0.8, 0, float((x + y) % 2))]
    picture.pack()
    node = nodes.new("ShaderNodeTexImage")
    node.image, node.interpolation = picture, "Closest"
    links.new(node.outputs["Color"], base(nodes))
    links.new(node.outputs["Alpha"], nodes["Principled BSDF"].inputs["Alpha"])
    save("grille")


for write in (write_colours, write_places, write_group, write_hidden, write_glass):
    write()
