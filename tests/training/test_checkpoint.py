"""Checkpoints survive kills and damage."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genbench.errors import Damaged
from genbench.training.checkpoint import CheckpointStore

CPU = torch.device("cpu")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints")
    assert store.load(CPU) is None
    store.save({"model": {"w": torch.arange(3.0)}, "step": 7, "tracker": {"wandb_id": "abc"}})
    state = store.load(CPU)
    assert state is not None
    assert state["step"] == 7
    assert torch.equal(state["model"]["w"], torch.arange(3.0))


def test_a_damaged_last_checkpoint_falls_back_to_the_one_before_with_a_warning(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save({"step": 1})
    store.save({"step": 2})
    store.last.write_bytes(store.last.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=r"last.pt cannot be used .*previous.pt is used"):
        state = store.load(CPU)
    assert state == {"step": 1}


def test_where_no_checkpoint_can_be_read_the_error_names_the_folder(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    store.save({"step": 1})
    store.last.write_bytes(b"not a checkpoint")
    with pytest.raises(Damaged, match="rerun=true"):
        store.load(CPU)


def test_a_checkpoint_runs_no_code_when_it_is_read(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    torch.save({"step": Path("/")}, store.last)  # an object that only unpickling by code could make
    with pytest.raises(Damaged, match="cannot be used"):
        store.load(CPU)


def test_a_kill_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    script = (
        "import sys, torch\nfrom pathlib import Path\n"
        "from genbench.training.checkpoint import CheckpointStore\n"
        f"store = CheckpointStore(Path({str(tmp_path)!r}))\n"
        "k = 0\n"
        "while True:\n"
        "    k += 1\n"
        "    store.save({'step': k, 'x': torch.full((200_000,), float(k))})\n"
        "    print(k, flush=True)"
    )
    for delay in (0.0, 0.013, 0.029):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        state = CheckpointStore(tmp_path).load(CPU)
        assert state is not None
        assert state["step"] >= 3
        assert torch.equal(state["x"], torch.full((200_000,), float(state["step"])))
