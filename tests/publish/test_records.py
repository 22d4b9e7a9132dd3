"""Records of the benchmark: what is kept of a run, and what of a file is believed."""

import json
import lzma
from pathlib import Path

import pytest
import typer

from benchmarks.publish.records import keep, read_records, unpack
from genbench.records.files import read_json


def test_a_run_of_another_machine_is_kept_without_its_folders(tmp_path: Path) -> None:
    run = tmp_path / "group" / "gan-digits-seed0-1"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "overrides.yaml").write_text("- model=gan\n- runs_dir=/home/me\n- data.root=/data\n")
    config = {"runs_dir": "/home/me", "data": {"root": "/data"}}
    (run / "run.json").write_text(json.dumps({"status": "failed", "config": config, "seed": 0}))
    assert keep("stability", [run], tmp_path / "records") is not None
    (record,) = read_records("stability", tmp_path / "records")
    assert record["overrides"] == ["model=gan"]
    assert "/" not in json.dumps(record["config"])
    content = (tmp_path / "records" / "stability.jsonl.xz").read_bytes()
    assert keep("stability", [], tmp_path / "records") is not None  # what was kept stays, byte for byte
    assert (tmp_path / "records" / "stability.jsonl.xz").read_bytes() == content
    assert lzma.decompress(content).count(b"\n") == 1
    (unpacked,) = unpack([record], tmp_path / "out")
    found = read_json(unpacked / "run.json")
    assert found is not None
    assert found["status"] == "failed"


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        lzma.compress(b"{}"),
        lzma.compress(b"{half a line"),
        lzma.compress(json.dumps({"group": "g", "run": "r", "files": {}}).encode())[:-9],
        *(
            lzma.compress(json.dumps({"group": "g", "run": "r", "files": {}} | wrong).encode())
            for wrong in ({"group": "../.."}, {"run": "/tmp/run"}, {"files": {"../../outside.txt": "text"}})
        ),
    ],
)
def test_damaged_and_hostile_records_are_refused_with_a_remedy(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stability.jsonl.xz").write_bytes(content)
    with pytest.raises(typer.BadParameter, match="is damaged: restore it from git"):
        read_records("stability", tmp_path)
