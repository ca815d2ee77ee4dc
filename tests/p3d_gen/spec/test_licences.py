"""Licences are what is stated beside an asset, and unknown where nothing is: never a guess."""

import json
import os
import struct

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.licences import asset_licence, file_licence, is_allowed, stated_licence
from p3d_gen.spec.spdx import named_licence, spdx
from p3d_gen.spec.taken import blender_environments, embedded_folder


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "above" / "cad" / "car" / "m0.off"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def licence(model):
    found = file_licence(model, model.parents[1])
    return found.id, found.stated_in


def test_what_is_nearest_counts(model):
    root = model.parents[1]
    (root.parent / "LICENSE").write_text("MIT")  # of something else: it lies above the source
    assert licence(model) == ("unknown", "")
    (root / "README.md").write_text("Public domain")
    assert licence(model) == ("unknown", "")
    (root / "LICENSE.txt").write_text("mit\n")
    assert licence(model) == ("MIT", "cad/LICENSE.txt")
    (model.parent / "COPYING").write_text("all rights reserved, see SPDX-License-Identifier: CC-BY-NC-4.0\n")
    assert licence(model) == ("CC-BY-NC-4.0", "cad/car/COPYING")
    (root / "licences.toml").write_text('"chair/*" = "MIT"\n"car/m*" = "cc-by-4.0 or LicenseRef-ours"\n"*" = "MIT"\n')
    assert licence(model) == ("CC-BY-4.0 OR LicenseRef-ours", "cad/licences.toml")
    model.with_name("m0.off.license").write_text("SPDX-FileCopyrightText: us\nSPDX-License-Identifier: CC0-1.0\n")
    assert licence(model) == ("CC0-1.0", "cad/car/m0.off.license")


def test_below_a_link_the_licence_is_that_of_the_links_folders(model, tmp_path):
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "disk" / "deep" / "far.off").touch()
    (model.parents[1] / "link").symlink_to(tmp_path / "disk")
    linked = model.parents[1] / "link" / "deep" / "far.off"
    found = file_licence(linked, model.parents[1])
    assert (found.id, found.stated_in) == ("unknown", "")
    (model.parents[1] / "LICENSE").write_text("MIT")
    assert file_licence(linked, model.parents[1]).stated_in == "cad/LICENSE"
    (tmp_path / "disk" / "LICENSE").write_text("CC0-1.0")
    assert file_licence(linked, model.parents[1]).stated_in == "cad/link/LICENSE"
    outside = file_licence(tmp_path / "disk" / "deep" / "far.off", model.parents[1])  # of no source: nothing to state
    assert (outside.id, outside.stated_in) == ("unknown", "")


def test_a_nearer_text_that_names_none_is_unknown(model):
    (model.parents[1] / "LICENSE").write_text("MIT License\n\nCopyright")
    assert licence(model) == ("MIT", "cad/LICENSE")
    (model.parent / "LICENCE").write_text("Ask us before you use these models.")
    assert licence(model) == ("unknown", "cad/car/LICENCE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MIT License\n\nCopyright (c) 2026", "MIT"),
        ("                 Apache License\n           Version 2.0, January 2004\n", "Apache-2.0"),
        ("Apache License\nVersion 3.0\n", "unknown"),
        ("Creative Commons Legal Code\n\nCC0 1.0 Universal\n", "CC0-1.0"),
        ("Attribution 4.0 International\n\n=====", "CC-BY-4.0"),
        ("Attribution-NonCommercial 4.0 International", "CC-BY-NC-4.0"),
        ("free for any use", "unknown"),
        ("MIT-like", "unknown"),
        ("", "unknown"),
        ("\xff\x00", "unknown"),
    ],
)
def test_texts(model, text, expected):
    (model.parent / "LICENSE").write_text(text)
    assert licence(model)[0] == expected


@pytest.mark.parametrize("text", ['"*" = "free"', '"*" = 3', '"*" = ["MIT"]', "[cars]\nx = 1"])
def test_an_entry_that_is_no_licence_is_named(model, text):
    (model.parents[1] / "licences.toml").write_text(text)
    with pytest.raises(AssetError, match=r'licences\.toml: .* write "<glob>" = "<SPDX id>"'):
        licence(model)


def test_what_comes_with_the_package_is_cc0():
    root = embedded_folder("textures").parent
    texture = next(root.rglob("*.jpg"))
    world = blender_environments()
    assert asset_licence(Asset(id="car_00000", address="parametric:car?variant=0"), None).id == "CC0-1.0"
    assert asset_licence(Asset(id="x", address=str(texture)), root).id == "CC0-1.0"
    assert asset_licence(Asset(id="city", address=str(world / "city.exr")), world).id == "CC0-1.0"


def test_model_cards():
    assert stated_licence("apache-2.0") == "Apache-2.0"
    assert stated_licence("creativeml-openrail-m") == "LicenseRef-creativeml-openrail-m"
    assert stated_licence("Stability AI Community") == "LicenseRef-Stability-AI-Community"
    assert stated_licence("unknown") == "unknown"
    assert spdx(stated_licence("Stability AI Community")) == "LicenseRef-Stability-AI-Community"


@pytest.mark.parametrize(
    ("expression", "allowed", "may"),
    [
        ("MIT", ["MIT"], True),
        ("MIT", ["CC0-1.0"], False),
        ("unknown", ["MIT"], False),
        ("MIT OR GPL-3.0-only", ["MIT"], True),
        ("MIT AND GPL-3.0-only", ["MIT"], False),
        ("MIT AND CC0-1.0 OR GPL-3.0-only", ["MIT", "CC0-1.0"], True),
        ("(MIT OR X) AND Y", ["MIT", "Y"], False),
        ("(MIT OR X) AND Y", ["(MIT OR X) AND Y"], True),
    ],
)
def test_what_is_allowed(expression, allowed, may):
    assert is_allowed(expression, allowed) == may


def test_a_run_is_refused_before_anything_is_made(tmp_path, manifest_path, assets):
    (assets / "cad" / "LICENSE").write_text("MIT")
    (assets / "textures" / "licences.toml").write_text('"dotted/*" = "CC-BY-4.0"\n')
    ids = "MIT,cc-by-4.0"
    refused = invoke("run", manifest_path, "--out", tmp_path / "run", "--allow-licenses", ids)
    assert refused.exit_code == 1
    assert "these are not under CC-BY-4.0, MIT; allow their licences, take other sources" in refused.output
    assert "background: 3 with the licence unknown: b0, b1, b2" in refused.output
    assert "texture: 1 with the licence unknown: banded/banded_0001" in refused.output
    assert "dotted" not in refused.output
    assert "cad:" not in refused.output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    refused = invoke("pack", tmp_path / "run", "--allow-licenses", ids)
    assert refused.exit_code == 1
    assert "background: 3 with the licence unknown" in refused.output


def test_an_id_that_is_none(tmp_path):
    result = invoke("licences", tmp_path, "--allow-licenses", "MIT,CC-BY-9")
    assert result.exit_code == 2
    assert "'CC-BY-9' is not an SPDX id" in result.output


@pytest.mark.blender
def test_an_imported_model_keeps_its_licence(tmp_path, assets):
    (assets / "cad" / "licences.toml").write_text('"car/m0*" = "CC-BY-4.0"\n')
    result = invoke("assets", "import", assets / "cad", "--category", "car", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    stated = {path.name: path.read_text() for path in (tmp_path / "out" / "car").glob("*.license")}
    assert stated == {"m0.ply.license": "SPDX-License-Identifier: CC-BY-4.0\n"}
    assert file_licence(tmp_path / "out" / "car" / "m0.ply", tmp_path / "out").id == "CC-BY-4.0"


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("CC-BY-4.0 (http://creativecommons.org/licenses/by/4.0/)", "CC-BY-4.0"),
        ("(c) 2019 Somebody, CC BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("https://creativecommons.org/licenses/by-sa/3.0", "CC-BY-SA-3.0"),
        ("mit", "MIT"),
        ("Public: CC0", "CC0-1.0"),
        ("(c) 2019 Somebody", ""),
    ],
)
def test_licences_that_texts_name(text, licence):
    assert named_licence(text) == licence


@pytest.mark.parametrize("is_binary", [False, True])
def test_a_gltf_file_states_its_licence(tmp_path, is_binary):
    model = tmp_path / "cad" / "car" / ("m.glb" if is_binary else "m.gltf")
    model.parent.mkdir(parents=True)

    def write(asset):
        text = json.dumps({"asset": {"version": "2.0", **asset}}).encode()
        head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text), len(text), 0x4E4F534A) if is_binary else b""
        model.write_bytes(head + text)
        os.utime(model, ns=(0, next(times)))

    times = iter(range(10**9, 10**10, 10**9))
    write({"copyright": "(c) 2019 Somebody"})
    assert licence(model) == ("unknown", "")
    (tmp_path / "cad" / "LICENSE").write_text("MIT")
    assert licence(model) == ("MIT", "cad/LICENSE")
    write({"copyright": "Somebody, CC-BY-4.0"})
    assert licence(model) == ("CC-BY-4.0", f"cad/car/{model.name}")
    write({"copyright": "Somebody", "extras": {"license": "CC-BY-SA-4.0 (https://...)"}})
    assert licence(model) == ("CC-BY-SA-4.0", f"cad/car/{model.name}")
    (model.parent / "category.toml").write_text('licence = "cc-by-nc-4.0"\n')
    assert licence(model) == ("CC-BY-NC-4.0", "cad/car/category.toml")
    (model.parent / "m.toml").write_text('licence = "LicenseRef-ours"\n')
    assert licence(model) == ("LicenseRef-ours", "cad/car/m.toml")
    model.write_bytes(b"glTF damaged")
    assert licence(model) == ("LicenseRef-ours", "cad/car/m.toml")
