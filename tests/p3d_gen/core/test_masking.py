"""Passwords, keys and tokens are hidden, and nothing else is."""

import os
import pickle
import subprocess
import sys

import pytest

from p3d_gen.core.errors import RunError
from p3d_gen.core.masking import masked
from tests.helpers.commands import BIN


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://AKIA:s3cret@bucket/run", "s3://***@bucket/run"),
        ("s3://AKIA:s3/cr/et@bucket/run", "s3://***@bucket/run"),
        ("https://me:s3cret@host:8080/a?x=1", "https://***@host:8080/a?x=1"),
        ("http://s3cret@host/a", "http://***@host/a"),
        ("sftp://me:s3cret@host/a and ftp://:s3cret@host", "sftp://***@host/a and ftp://***@host"),
        ("https://h/a.tar?token=s3cret", "https://h/a.tar?token=***"),
        ("https://h/a?v=2&access_token=s3cret&w=3#end", "https://h/a?v=2&access_token=***&w=3#end"),
        ("https://h/a?X-Amz-Credential=s3cret&X-Amz-Date=1&X-Amz-Signature=s3cret", None),
        ("https://h/a?sv=1&sig=s3cret", "https://h/a?sv=1&sig=***"),
        ("https://h/a?AWSAccessKeyId=s3cret&Signature=s3cret", None),
        (
            "p3dgen run m.toml --out 's3://a:s3cret@b/run' --workers 2",
            "p3dgen run m.toml --out 's3://***@b/run' --workers 2",
        ),
        ("x --token s3cret -v", "x --token *** -v"),
        ("x --hub-token='s3cret s3cret' -v", "x --hub-token=*** -v"),
    ],
)
def test_what_is_hidden(text, shown):
    assert "s3cret" not in masked(text)
    assert shown is None or masked(text) == shown
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "p3dgen run manifests/quickstart.toml --out runs/quick --workers 2",
        "s3://bucket/runs/cars/car-{00000..00003}.tar",
        "parametric:car?variant=3",
        "abfs://container@account.dfs.core.windows.net/run",
        "sftp://me@host/run",
        "http://localhost:8080/runs/a@b",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/x@y",
        "owner/name@revision",
        "replay runs/cars car-000001 --key 3",
        "https://h/a?variant=3&keypoints=no&monkey=1&tokens",
        "/data/a:b@c/d?e=f",
        "",
    ],
)
def test_what_is_shown(text):
    assert masked(text) == text


def test_every_error_of_ours_hides_them_also_in_another_process():
    error = RunError("s3://AKIA:s3cret@bucket/run is not there")
    assert str(error) == "s3://***@bucket/run is not there"
    assert "s3cret" not in repr(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


ADDRESS = "s3://AKIA:s3cret@bucket/run"


@pytest.mark.parametrize("more", [[], ["--debug"], ["and more"], ["--jsno"]])
def test_a_command_shows_no_password(tmp_path, more):
    command = [BIN, "status", ADDRESS, *more, "--log-file", str(tmp_path / "log")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert "s3cret" not in done.stdout + done.stderr


@pytest.mark.parametrize("through", ["argv", "environment"])
def test_ledgers_hold_the_command_without_passwords(through):
    """Processes on other machines are told it by the environment."""
    python = [sys.executable, "-c", "from p3d_gen.run.versions import command; print(command())"]
    given = ["run", "m.toml", "--out", ADDRESS]
    env = {**os.environ, "P3DGEN_COMMAND": " ".join(given)} if through == "environment" else None
    done = subprocess.run(python + (given if env is None else []), env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip().rstrip("'").endswith("--out s3://***@bucket/run")
