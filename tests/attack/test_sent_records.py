"""Records of others that lack what a reader needs: one message, no traceback."""

import json
import shutil
from pathlib import Path

import pytest

from genbench.records.run_directory import Run
from tests.attack.verbs import genbench
from tests.conftest import Make

RECORD = {"identity": "x", "status": "stopped", "sessions": [{"started": "now", "status": "running"}]}
LIKELIHOOD = {"bits_per_dim": 1.5, "bound": "upper", "method": None, "n": 3}
RESULT = {
    "group": "a",
    "run": "b",
    "seed": 0,
    "choices": {},
    "cost": {},
    "metrics": {"fid[f,n=1,ref=train,ema]": "nan"},
    "likelihood": LIKELIHOOD,
}


def write(folder: Path, record: object, result: object = None) -> Run:
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "result.json").write_text(json.dumps(result))
    return Run(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"sessions": None},
        {"sessions": 5},
        {"sessions": [5]},
        {"sessions": [{}]},
        {"identity": None},
        {"identity": 3},
        {"status": ["done"]},
    ],
)
def test_a_run_does_not_go_on_from_a_record_that_is_none(tmp_path: Path, change: dict) -> None:
    write(tmp_path, RECORD).past_sessions("x")
    with pytest.raises(ValueError, match=r"run\.json has .*restore it"):
        write(tmp_path, RECORD | change).past_sessions("x")


@pytest.mark.parametrize(
    "change",
    [
        *({key: None} for key in RESULT),
        {"metrics": {"fid[f,n=1,ref=train,ema]": [1]}},
        {"likelihood": {}},
        {"likelihood": LIKELIHOOD | {"solver_error_bits": "much"}},
        {"likelihood": LIKELIHOOD | {"floor_bits_per_dim": 1.0}},
        {"reconstruction": 3},
    ],
)
def test_a_result_that_cannot_be_shown_is_refused(tmp_path: Path, change: dict) -> None:
    done = RECORD | {"status": "done"}
    shown = write(tmp_path, done, RESULT).finished_result()
    assert shown is not None
    assert (
        shown.to_record().items()
        >= (RESULT | {"metrics": shown.metrics, "cost": shown.cost.to_record()}).items()
    )
    with pytest.raises(ValueError, match=r"result\.json has .*restore it"):
        write(tmp_path, done, RESULT | change).finished_result()


def test_a_model_of_a_damaged_record_is_not_evaluated(made: Make, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(made("network.width=8", "network.blocks=1", "sampler.steps=3"), run)
    record = json.loads((run / "run.json").read_text())
    del record["identity"]
    (run / "run.json").write_text(json.dumps(record))
    done = genbench("evaluate", run, "--device", "cpu", "--metrics", "none")
    assert done.code == 2
    assert "run.json has no identity that is text" in done.err
    assert len(done.err.splitlines()) == 1
