"""Where weights come from: names, revisions, licences, what is missing. No network, and torch is not loaded."""

import shutil
import subprocess
import sys

import pytest

from p3d_gen.core.errors import DependencyError, ManifestError
from p3d_gen.spec.stylize import Control, Lora, Speed, Stylize
from p3d_gen.stylize.weights import (
    are_light,
    check_weights,
    licence,
    model_weights,
    named_weights,
    revision,
    weights_file,
)

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tmp_path):
    """A folder that looks like a base model and like a ControlNet."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (folder / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    (folder / "weights.safetensors").write_bytes(b"1234")
    return folder


@pytest.fixture
def hub(tmp_path, model, monkeypatch):
    """A hub that is switched off, whose cache holds nobody/model at one commit."""
    repository = tmp_path / "hub" / "models--nobody--model"
    shutil.copytree(model, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return repository / "snapshots" / COMMIT


def settings(**changes):
    return Stylize(stylizer="controlnet", **({"base": "./model", "control": [Control(weights="./model")]} | changes))


@pytest.mark.parametrize(
    ("name", "repo", "file", "revision"),
    [
        ("org/name-v1.5", "org/name-v1.5", "", ""),
        ("org/name@main", "org/name", "", "main"),
        ("org/name@refs/pr/1", "org/name", "", "refs/pr/1"),
        ("org/name/lora.safetensors", "org/name", "lora.safetensors", ""),
        ("org/name/deep/lora.safetensors@v2", "org/name", "deep/lora.safetensors", "v2"),
    ],
)
def test_names_of_the_hub(tmp_path, name, repo, file, revision):
    found = named_weights(name, tmp_path, "k")
    assert (found.repo, found.file, found.revision, found.path) == (repo, file, revision, None)


def test_paths(tmp_path, model, monkeypatch):
    assert named_weights("./model", tmp_path, "k").path == model
    assert named_weights("./model/weights.safetensors", tmp_path, "k").path == model / "weights.safetensors"
    monkeypatch.setenv("P3D_TEST_ROOT", str(tmp_path))
    assert named_weights("${P3D_TEST_ROOT}/model", tmp_path / "x", "k").path == model
    with pytest.raises(ManifestError, match=r"k = './gone'.*no folder"):
        named_weights("./gone", tmp_path, "k")
    with pytest.raises(ManifestError, match=r"k = './gone.pt'.*no file"):
        named_weights("./gone.pt", tmp_path, "k")


def test_a_revision_of_a_folder_is_its_content(tmp_path, model):
    there = named_weights("./model", tmp_path, "k")
    first = revision(there)
    assert len(first) == 64
    (model / ".cache").mkdir()
    (model / ".cache" / "note").write_text("of a download")
    assert revision(there) == first
    (model / "weights.safetensors").write_bytes(b"1235")
    second = revision(there)
    (model / "weights.safetensors").rename(model / "other.safetensors")
    assert len({first, second, revision(there)}) == 3
    assert len(revision(named_weights("./model/other.safetensors", tmp_path, "k"))) == 64


@pytest.mark.parametrize(
    ("card", "stated"),
    [
        ("---\nlicense: creativeml-openrail-m\ntags:\n- art\n---\n# Model\n", "creativeml-openrail-m"),
        (
            "---\nlicense: other\nlicense_name: flux-1-dev-non-commercial-license\n---\n",
            "flux-1-dev-non-commercial-license",
        ),
        ("---\ntags:\n- art\n---\n", "unknown"),
        ("# Model\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_licences_of_model_cards(tmp_path, model, card, stated):
    if card is not None:
        (model / "README.md").write_text(card)
    assert licence(named_weights("./model", tmp_path, "k")) == stated


def test_the_hub_gives_its_commit_and_licence(tmp_path, hub):
    there = named_weights("nobody/model", tmp_path, "k")
    assert revision(there) == COMMIT
    assert licence(there) == "unknown"
    (hub / "README.md").write_text("---\nlicense: mit\n---\n")
    assert licence(there) == "mit"
    assert weights_file(there) == hub / "weights.safetensors"
    assert revision(named_weights(f"nobody/model@{COMMIT}", tmp_path, "k")) == COMMIT
    with pytest.raises(DependencyError, match=r"nobody/model@v2.*hf download nobody/model --revision v2"):
        revision(named_weights("nobody/model@v2", tmp_path, "k"))


def test_one_file_of_weights(tmp_path, model):
    there = named_weights("./model", tmp_path, "stylize.lora.0.weights")
    (model / "weights.bin").write_bytes(b"1234")
    assert weights_file(there) == model / "weights.safetensors"  # the same in a safer format
    (model / "more.safetensors").write_bytes(b"1234")
    with pytest.raises(DependencyError, match=r"holds 2 files of weights, name one: more.safetensors, weights.saf"):
        weights_file(there)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DependencyError, match="holds no files of weights"):
        weights_file(named_weights("./empty", tmp_path, "k"))


def test_everything_is_looked_for_early(tmp_path, model, hub):
    check_weights(settings(), tmp_path)
    check_weights(settings(base="nobody/model", control=[Control(weights=f"nobody/model@{COMMIT}")]), tmp_path)
    (tmp_path / "empty").mkdir()
    for changes, message in (
        ({"base": "./empty"}, r"stylize\.base = './empty': there is no model_index\.json"),
        ({"control": [Control(weights="./model"), Control(weights="./empty")]}, r"stylize\.control\.1\.weights"),
        ({"speed": Speed(vae="./empty")}, r"stylize\.speed\.vae"),
        ({"base": "nobody/gone"}, r"stylize\.base = 'nobody/gone'.*hf download nobody/gone"),
        ({"control": [Control(weights="nobody/gone@v1")]}, r"hf download nobody/gone --revision v1"),
    ):
        with pytest.raises(DependencyError, match=message):
            check_weights(settings(**changes), tmp_path)
    for changes in ({"lora": [Lora(weights="./gone.safetensors")]}, {"textual_inversion": ["./gone.pt"]}):
        with pytest.raises(ManifestError, match=r"gone\."):
            check_weights(settings(**changes), tmp_path)


def test_an_embedded_stylizer_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("p3d_gen.stylize.weights.embedded_folder", lambda kind: tmp_path / kind)
    with pytest.raises(DependencyError, match=r"'embedded'.*not hold the embedded stylizer.*p3dgen train-stylizer"):
        model_weights("embedded", "base", tmp_path, "stylize.base")
    (tmp_path / "stylizer" / "base").mkdir(parents=True)
    (tmp_path / "stylizer" / "base" / "model_index.json").write_text("{}")
    assert model_weights("embedded", "base", tmp_path, "k").path == tmp_path / "stylizer" / "base"


def test_looking_for_weights_loads_no_torch(tmp_path, model):
    code = (
        "import sys, pathlib\n"
        "from p3d_gen.spec.stylize import Control, Stylize\n"
        "from p3d_gen.stylize.weights import check_weights\n"
        "check_weights(Stylize(base='./model', control=[Control(weights='./model')]), pathlib.Path(sys.argv[1]))\n"
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_only_small_files_are_light(tmp_path, model):
    embedded = Stylize(base="embedded", control=[Control(weights="embedded")])
    assert are_light(embedded, tmp_path)
    assert not are_light(embedded.model_copy(update={"base": "owner/name"}), tmp_path)
    local = embedded.model_copy(update={"base": "./model"})
    assert are_light(local, tmp_path)
    with (tmp_path / "model" / "large.safetensors").open("wb") as file:
        file.truncate(300_000_000)
    assert not are_light(local, tmp_path)
