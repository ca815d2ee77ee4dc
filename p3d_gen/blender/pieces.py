"""The meshes of a scene as pieces of one surface, with all that their materials read of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from p3d_gen.blender.cleaning import Surface, by_blocks, flat_normals, plain, unit_normals
from p3d_gen.blender.evaluation import rendered_meshes
from p3d_gen.blender.readings import ATTRIBUTE, COLOUR, PROPERTY, UV, Reading, readings_of
from p3d_gen.core.geometry import transform
from p3d_gen.core.types import Array
from p3d_gen.run.cad_model import NORMALS

COLOURS = "colours"
_FIELDS = {
    "FLOAT_COLOR": ("color", 4),
    "BYTE_COLOR": ("color", 4),
    "FLOAT_VECTOR": ("vector", 3),
    "FLOAT2": ("vector", 2),
}
_NUMBERS = ("FLOAT", "INT", "INT8", "BOOLEAN")
_WORD = 0xFFFFFFFF


def colour_material(name: str = "") -> bpy.types.Material:
    """Make a material that shows the colours of a mesh: the attribute of that name, or the one that renders."""
    material = bpy.data.materials.new(COLOURS)
    material.use_nodes = True
    tree = material.node_tree
    colour = tree.nodes.new("ShaderNodeVertexColor")
    colour.layer_name = name
    tree.links.new(colour.outputs["Color"], tree.nodes["Principled BSDF"].inputs["Base Color"])
    return material


@dataclass(kw_only=True)
class PartTable:
    """The materials of all pieces, numbered in the order in which they come.

    shows_colours: give faces without a material that of the colours at their corners.
    readings: what each material reads. mixed: materials that read several texture coordinates of one object.
    unread: names of colours that no material reads, with the object's.
    """

    shows_colours: bool
    numbers: dict[bpy.types.Material | None, int] = field(default_factory=dict)
    readings: dict[bpy.types.Material | None, tuple[Reading, ...]] = field(default_factory=dict)
    mixed: set[bpy.types.Material | None] = field(default_factory=set)
    unread: dict[str, None] = field(default_factory=dict)
    _colours: bpy.types.Material | None = None

    def number(self, material: bpy.types.Material | None) -> int:
        """Return the number of a material."""
        if material not in self.numbers:
            self.numbers[material] = len(self.numbers)
            self.readings[material] = readings_of(material) if material else ()
        return self.numbers[material]

    def of_slots(self, item: bpy.types.Object, mesh: bpy.types.Mesh) -> list[bpy.types.Material | None]:
        """Return the materials of an object's slots."""
        materials = [slot.material.original if slot.material else None for slot in item.material_slots] or [None]
        if self.shows_colours and None in materials and _colour_layer(mesh, ""):
            self._colours = self._colours or colour_material()
            materials = [material or self._colours for material in materials]
        return materials

    def kept(self) -> list[Reading]:
        """Return what has to be kept besides the default texture coordinates, in the order of the materials."""
        listed = (
            reading
            for material, readings in self.readings.items()
            for reading in readings
            if reading.kind != UV or (reading.name and material in self.mixed)
        )
        return list(dict.fromkeys(listed))


def _colour_layer(mesh: bpy.types.Mesh, name: str) -> str:
    """Return the name of a colour attribute of a mesh, "" for the one that renders; "" if there is none."""
    layers = mesh.color_attributes
    if name:
        return name if name in layers else ""
    index = layers.render_color_index
    return str(layers[index].name) if 0 <= index < len(layers) else next((str(layer.name) for layer in layers), "")


def _uv_layer(mesh: bpy.types.Mesh, name: str) -> str:
    """Return the name of texture coordinates of a mesh: those asked for, else those that render; "" if it has none."""
    if name and name in mesh.uv_layers:
        return name
    return next((str(layer.name) for layer in mesh.uv_layers if layer.active_render), "")


def _random(name: str) -> float:
    """Return the number in [0, 1] that Cycles gives an object of this name."""
    text = 0
    for letter in name.encode():
        text = (text * 37 + letter) & _WORD
    a = b = c = (0xDEADBEEF + (2 << 2) + 13) & _WORD
    a = (a + text) & _WORD

    def mixed(x: int, y: int, turn: int) -> int:
        return ((x ^ y) - ((y << turn | y >> (32 - turn)) & _WORD)) & _WORD

    c = mixed(c, b, 14)
    a = mixed(a, c, 11)
    b = mixed(b, a, 25)
    c = mixed(c, b, 16)
    a = mixed(a, c, 4)
    b = mixed(b, a, 14)
    return mixed(c, b, 24) / _WORD


def _property(item: bpy.types.Object, name: str) -> Any:
    """Return a property of an object or its data, as numbers; None if there is none."""
    for owner in (item, item.data):
        value = owner.get(name, getattr(owner, name, None) if name.isidentifier() else None)
        if isinstance(value, int | float):
            return [float(value)]
        if value is not None and not isinstance(value, str) and hasattr(value, "__len__") and 2 <= len(value) <= 4:
            return [float(number) for number in value]
    return None


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """One evaluated mesh: the vertices (V, 3) in its own axes and in the world's, and its triangles.

    faces, loops (F, 3): vertices and corners. polygons (F,): the face that each triangle is a part of.
    """

    instance: bpy.types.DepsgraphObjectInstance
    depsgraph: bpy.types.Depsgraph
    mesh: bpy.types.Mesh
    local: Array
    world: Array
    faces: NDArray[np.int32]
    loops: NDArray[np.int32]
    polygons: NDArray[np.int32]

    def layer(self, name: str) -> NDArray[np.float32] | None:
        """Return an attribute at the corners (F, 3, k), None if the mesh does not have it."""
        attribute = self.mesh.attributes.get(name)
        if attribute is None:
            return None
        key, width = _FIELDS.get(attribute.data_type, ("value", 1))
        places = {"POINT": self.faces, "CORNER": self.loops, "FACE": self.polygons[:, None].repeat(3, axis=1)}
        if attribute.domain not in places or (width == 1 and attribute.data_type not in _NUMBERS):
            return None
        kind: Any = {"INT": np.int32, "INT8": np.int8, "BOOLEAN": bool}.get(attribute.data_type, np.float32)
        values = np.empty(width * len(attribute.data), kind)
        attribute.data.foreach_get(key, values)
        return np.asarray(values.reshape(-1, width)[places[attribute.domain]], np.float32)

    def normals(self) -> NDArray[np.float32]:
        """Return the normals of the corners (F, 3, 3) in the world's axes: of a flat face those of its triangles."""
        own = np.empty(3 * len(self.mesh.loops), np.float32)
        self.mesh.corner_normals.foreach_get("vector", own)
        inverse = np.linalg.pinv(np.array(self.instance.matrix_world, np.float64)[:3, :3])
        rows = own.reshape(-1, 3)
        normals = by_blocks(lambda loops: unit_normals(rows[loops] @ inverse), self.loops)
        smooth = np.empty(len(self.mesh.polygons), bool)
        self.mesh.polygons.foreach_get("use_smooth", smooth)
        flat = ~smooth[self.polygons]
        normals[flat] = flat_normals(self.world, self.faces[flat])
        return normals

    def _generated(self) -> NDArray[np.float32]:
        places = np.empty(3 * len(self.mesh.vertices), np.float32)
        self.mesh.vertices.foreach_get("undeformed_co", places)
        size = np.array(self.mesh.texspace_size, np.float32)
        start = np.array(self.mesh.texspace_location, np.float32)
        unit = np.divide(0.5, size, out=np.zeros_like(size), where=size != 0)
        return np.asarray(((places.reshape(-1, 3) - start) * unit + np.float32(0.5))[self.faces])

    def _in_object(self, name: str) -> Array:
        """Return the vertices in the axes of another object, "" for the own."""
        if not name:
            return self.local
        other = np.array(bpy.data.objects[name].evaluated_get(self.depsgraph).matrix_world, np.float64)
        return transform(np.linalg.inv(other), self.world)

    def _constant(self, reading: Reading, material: bpy.types.Material) -> Any:
        item, instance = self.instance.object, self.instance
        values: dict[str, Callable[[], Any]] = {
            "location": lambda: instance.matrix_world.translation,
            "object colour": lambda: item.color,
            "object alpha": lambda: [item.color[3]],
            "object index": lambda: [item.pass_index],
            "material index": lambda: [material.pass_index],
            "random": lambda: [instance.random_id / _WORD if instance.is_instance else _random(item.name)],
            PROPERTY: lambda: _property(item, reading.name),
        }
        return values[reading.kind]()

    def values(self, reading: Reading, material: bpy.types.Material) -> NDArray[np.float32] | None:
        """Return what a material reads, at the corners (F, 3, k); None if the object does not have it."""
        match reading.kind:
            case "uv":
                return self.layer(_uv_layer(self.mesh, reading.name))
            case "colour":
                return self.layer(_colour_layer(self.mesh, reading.name))
            case "attribute":
                return self.layer(reading.name)
            case "generated":
                return self._generated()
            case "object":
                return self._in_object(reading.name)[self.faces].astype(np.float32)
            case "position":
                return self.world[self.faces].astype(np.float32)
        constant = self._constant(reading, material)
        if constant is None:
            return None
        row = np.array(constant, np.float32)
        return np.broadcast_to(row, (*self.faces.shape, len(row)))


def _default_uv(piece: _Piece, slots: NDArray[np.int32], materials: Sequence[Any], table: PartTable) -> NDArray[Any]:
    """Return the texture coordinates (F, 3, 2) that each triangle's material reads, or most of it does."""
    uv = np.zeros((*piece.loops.shape, 2), np.float32)
    for slot, material in enumerate(materials):
        table.number(material)
        layers = {_uv_layer(piece.mesh, each.name) for each in table.readings[material] if each.kind == UV}
        if len(layers) > 1:
            table.mixed.add(material)
        name = layers.pop() if len(layers) == 1 else _uv_layer(piece.mesh, "")
        if name:
            values = piece.layer(name)
            assert values is not None
            uv[slots == slot] = values[slots == slot]
    return uv


def _note_colours(piece: _Piece, materials: Sequence[Any], table: PartTable) -> None:
    read = {
        _colour_layer(piece.mesh, each.name) if each.kind == COLOUR else each.name
        for material in materials
        for each in table.readings[material]
        if each.kind in (COLOUR, ATTRIBUTE)
    }
    for layer in piece.mesh.color_attributes:
        if layer.name not in read:
            table.unread[f"{layer.name!r} of {piece.instance.object.name!r}"] = None


Values = dict[Reading, NDArray[np.float32]]


def _read_piece(
    instance: bpy.types.DepsgraphObjectInstance, depsgraph: bpy.types.Depsgraph, table: PartTable
) -> tuple[Surface, Values]:
    """Return the surface of one evaluated object in world axes, and what its materials read of it."""
    mesh = instance.object.to_mesh()
    mesh.calc_loop_triangles()
    count = len(mesh.loop_triangles)
    vertices = np.empty(3 * len(mesh.vertices), np.float32)
    faces, loops, slots, polygons = (np.empty(size * count, np.int32) for size in (3, 3, 1, 1))
    mesh.vertices.foreach_get("co", vertices)
    for name, numbers in (
        ("vertices", faces),
        ("loops", loops),
        ("material_index", slots),
        ("polygon_index", polygons),
    ):
        mesh.loop_triangles.foreach_get(name, numbers)
    materials = table.of_slots(instance.object, mesh)
    slots = np.clip(slots, 0, len(materials) - 1)
    local = vertices.reshape(-1, 3).astype(np.float64)
    piece = _Piece(
        instance=instance,
        depsgraph=depsgraph,
        mesh=mesh,
        local=local,
        world=transform(np.array(instance.matrix_world, np.float64), local),
        faces=faces.reshape(-1, 3),
        loops=loops.reshape(-1, 3),
        polygons=polygons,
    )
    uv = _default_uv(piece, slots, materials, table)
    _note_colours(piece, materials, table)
    kept: Values = {}
    for slot, material in enumerate(materials):
        own = slots == slot
        is_alone = sum(reading.kind == UV for reading in table.readings[material]) == 1
        for reading in table.readings[material] if own.any() else ():
            if reading.kind == UV and (not reading.name or is_alone):
                continue
            if (values := piece.values(reading, material)) is None:
                continue
            if reading not in kept:
                kept[reading] = np.zeros(values.shape, np.float32)
            if kept[reading].shape == values.shape:
                kept[reading][own] = values[own]
    face_part = np.array([table.number(material) for material in materials])[slots]
    surface = replace(plain(piece.world, piece.faces), uv=uv, face_part=face_part)
    surface = replace(surface, attributes={NORMALS: piece.normals()})
    instance.object.to_mesh_clear()
    return surface, kept


def _joined_values(pieces: list[tuple[Surface, Values]], reading: Reading) -> NDArray[np.float32] | None:
    """Return what all pieces have of one reading, zeros for those without it; None if none has it."""
    width = max((values[reading].shape[2] for _, values in pieces if reading in values), default=0)
    if not width:
        return None
    blocks = []
    for surface, values in pieces:
        block = np.zeros((len(surface.faces), 3, width), np.float32)
        if reading in values:
            block[..., : values[reading].shape[2]] = values[reading]
        blocks.append(block)
    return np.concatenate(blocks)


def read_scene(depsgraph: bpy.types.Depsgraph, shows_colours: bool) -> tuple[Surface, PartTable, dict[Reading, str]]:
    """Join all meshes that render. Return the surface, its materials, and the names of the attributes that they read.

    shows_colours: see `PartTable`. ValueError if there is no mesh.
    """
    table = PartTable(shows_colours=shows_colours)
    pieces = [_read_piece(instance, depsgraph, table) for instance in rendered_meshes(depsgraph)]
    if not pieces:
        raise ValueError("it has no mesh that renders")
    names: dict[Reading, str] = {}
    attributes = {NORMALS: np.concatenate([surface.attributes[NORMALS] for surface, _ in pieces])}
    for reading in table.kept():
        values = _joined_values(pieces, reading)
        if values is not None:
            names[reading] = f"{reading.kind} {len(names)}"
            attributes[names[reading]] = values
    starts = np.cumsum([0, *(len(surface.vertices) for surface, _ in pieces[:-1])])
    surfaces = [surface for surface, _ in pieces]
    surface = Surface(
        vertices=np.concatenate([surface.vertices for surface in surfaces]),
        faces=np.concatenate([each.faces + start for each, start in zip(surfaces, starts, strict=True)]),
        uv=np.concatenate([surface.uv for surface in surfaces]),
        face_part=np.concatenate([surface.face_part for surface in surfaces]),
        part_names=tuple(material.name if material else "" for material in table.numbers),
        attributes=attributes,
    )
    return surface, table, names
