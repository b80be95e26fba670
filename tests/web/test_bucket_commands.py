"""`carcloud buckets` and `carcloud objects` against a running cloud."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from carcloud.cli import main


@pytest.fixture
def run(cloud: Any, client: httpx.Client):
    token = client.cookies["carcloud_session"]

    def call(*words: str, stdin: bytes | None = None) -> Result:
        group, name, *rest = words
        where = ["--url", cloud.url, "--token", token]
        return CliRunner().invoke(main, [group, name, *where, *rest], input=stdin)

    return call


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_a_bucket_from_its_making_to_its_end(run, tmp_path: Path):
    name = f"cli-{secrets.token_hex(6)}"
    done(run("buckets", "create", name, "--versioning"))
    done(run("buckets", "set", name, "--expire", "tmp/=7", "--tag", "team=a"))
    listed = [json.loads(line) for line in done(run("buckets", "list", "--json")).splitlines()]
    (mine,) = [one for one in listed if one["name"] == name]
    assert (mine["versioning"], mine["tags"]) == ("Enabled", {"team": "a"})
    assert mine["lifecycle"][0]["prefix"] == "tmp/"
    assert name in done(run("buckets", "list"))
    data = os.urandom(3_000_000)
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "one.bin").write_bytes(data)
    (tmp_path / "d" / "e" / "ü two.txt").write_bytes(b"two")
    done(run("objects", "put", str(tmp_path / "d" / "one.bin"), f"{name}/x/"))
    done(run("objects", "put", "-r", str(tmp_path / "d"), f"{name}/all/"))
    done(run("objects", "put", "-", f"{name}/piped", stdin=b"from a pipe"))
    found = done(run("objects", "ls", name, "-r", "--json")).splitlines()
    keys = [json.loads(line)["key"] for line in found]
    assert keys == ["all/e/ü two.txt", "all/one.bin", "piped", "x/one.bin"]
    assert "all/" in done(run("objects", "ls", name))
    done(run("objects", "get", f"{name}/all/one.bin", str(tmp_path)))
    assert (tmp_path / "one.bin").read_bytes() == data
    assert run("objects", "get", f"{name}/piped", "-").stdout_bytes == b"from a pipe"
    assert "no object" in run("objects", "get", f"{name}/none", str(tmp_path)).output
    done(run("objects", "rm", f"{name}/piped"))
    done(run("objects", "rm", "-r", "--yes", f"{name}/"))
    assert done(run("objects", "ls", name, "-r", "--json")) == ""
    assert "not empty" in run("buckets", "remove", name, "--yes").output  # old versions are left


def test_what_cannot_be_is_told_in_one_line(run, tmp_path: Path):
    for words, told in (
        (("objects", "ls", "there-is-none"), "there is no bucket"),
        (("objects", "put", str(tmp_path), "b/k"), "is a folder"),
        (("objects", "put", str(tmp_path / "none"), "b/k"), "there is no file"),
        (("objects", "rm", "bucket"), "name an object"),
        (("buckets", "set", "x"), "nothing to change"),
        (("buckets", "create", "NO"), "name"),
    ):
        result = run(*words)
        assert result.exit_code != 0
        assert told in result.output
        assert len(result.output.strip().splitlines()) == 1
