"""Side files of CAD models: what each key says, which file counts, and what is said of a wrong one."""

from pathlib import Path

import pytest

from p3d_gen.core.errors import AssetError
from p3d_gen.spec.side_files import axes_file, category_keys, side_file


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "mug" / "one" / "model.obj"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_a_models_file_counts_before_its_categorys_key_by_key(model):
    assert side_file(model).model_dump(exclude_none=True) == {}
    assert axes_file(model) is None
    category = model.parents[1] / "category.toml"
    category.write_text('up = "y"\nfront = "x"\nunit = "mm"\nsymmetry = ["z:0"]\nwords = ["mug"]\n')
    assert (side_file(model).up, side_file(model).unit_m, axes_file(model)) == ("y", 0.001, category)
    own = model.with_suffix(".toml")
    own.write_text(
        'unit = 0.5\nsymmetry = []\nlicence = "MIT"\n[keypoints]\nhandle = [0, 1, 2]\n[parts]\nMat = "glass"\n'
    )
    stated = side_file(model)
    assert (stated.up, stated.front, stated.unit_m, stated.symmetry, stated.licence) == ("y", "x", 0.5, (), "MIT")
    assert (stated.keypoints, stated.parts) == ({"handle": (0, 1, 2)}, {"Mat": "glass"})
    assert axes_file(model) == category
    own.write_text('up = "z"\nfront = "-y"\n')
    assert axes_file(model) == own
    assert category_keys(category) == {"symmetry": ["z:0"], "words": ["mug"]}


def test_a_manifest_with_the_name_of_a_model_is_none_of_its_files(model):
    model.with_suffix(".toml").write_text('categories = ["car"]\nsamples_per_category = 3\n')
    assert side_file(model).model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('up = "z"', "give both up and front, or neither"),
        ('up = "z"\nfront = "-z"', "up 'z' and front '-z' lie on one axis"),
        ('up = "w"\nfront = "x"', "up = 'w' is not known"),
        ('unti = "m"', "unknown key 'unti'; did you mean 'unit'?"),
        ("unit = -1", "unit"),
        ('symmetry = ["z"]', "symmetry 'z' is not a turn"),
        ('licence = "mine"', "'mine' is not an SPDX id"),
        ("keypoints = { a = [1, 2] }", "keypoints.a"),
        ("up = ", "is not TOML"),
    ],
)
def test_a_wrong_file_is_named_with_its_keys(model, text, said):
    path = model.with_suffix(".toml")
    path.write_text(text)
    with pytest.raises(AssetError) as caught:
        side_file(model)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_an_edit_is_seen(model):
    path = model.with_suffix(".toml")
    for number in (1, 2, 35):
        path.write_text(f"unit = {number}")
        assert side_file(model).unit_m == number
    Path(path).unlink()
    assert side_file(model).unit_m is None
