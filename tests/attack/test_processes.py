"""Nothing that a process reads can execute anything, and an end of one process is told in its own words."""

import ast
import json
import os
import pickle
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Command
from tests.toys import TINY

SOURCES = sorted(
    path
    for folder in ("genbench", "examples", "main.py")
    for path in ([ROOT / folder] if folder.endswith(".py") else (ROOT / folder).rglob("*.py"))
)
UNSAFE_MODULES = {"cloudpickle", "code", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
HARMLESS = {"pickle.UnpicklingError", "joblib.externals.loky.backend.resource_tracker.ensure_running"}
"""Names of such modules that read nothing: an error to catch, the start of a helper process."""
UNSAFE_CALLS = {"compile", "eval", "exec", "__import__", "system", "popen"}
UNSAFE_METHODS = {
    *("gather_object", "broadcast_object_list", "all_gather_object", "scatter_object_list"),
    *("send_object_list", "recv_object_list", "system", "popen", "read_pickle", "to_pickle"),
    *("unsafe_load", "unsafe_load_all", "full_load"),
}
NEEDED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}


def imported(node: ast.AST) -> list[str]:
    """The full names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Find what of a file could execute what somebody else wrote."""
    for node in ast.walk(tree):
        yield from (
            f"{node.lineno}: imports {name}"
            for name in imported(node)
            if name.partition(".")[0] in UNSAFE_MODULES and name not in HARMLESS
        )
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        given = {word.arg: word.value for word in node.keywords}
        shell = given.get("shell")
        if called in UNSAFE_CALLS or called.rpartition(".")[2] in UNSAFE_METHODS:
            yield f"{node.lineno}: calls {called}"
        if called == "yaml.load" and not re.search("Safe|BaseLoader", ast.unparse(node)):
            yield f"{node.lineno}: loads YAML unsafely"
        if shell is not None and not (isinstance(shell, ast.Constant) and shell.value is False):
            yield f"{node.lineno}: calls a shell"
        if called in NEEDED:
            name, needed = NEEDED[called]
            value = given.get(name)
            if not (isinstance(value, ast.Constant) and value.value is needed):
                yield f"{node.lineno}: calls {called} without {name}={needed}"


def test_no_file_of_the_package_unpickles_evaluates_or_calls_a_shell() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{what}" for path in SOURCES for what in unsafe(ast.parse(path.read_text()))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "yaml.load(text)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "dist.gather_object(value, boxes)",
        "torch.distributed.broadcast_object_list(box, 0)",
        "os.system(text)",
        "subprocess.run(text, shell=True)",
        "pd.read_pickle(path)",
    ],
)
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert list(unsafe(ast.parse(text)))


class Malicious:
    """Pickled, it makes a file when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.slow
def test_a_pickle_among_the_endings_of_processes_is_not_opened(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Somebody who got into the private folder of a run of two processes leaves one there."""
    pwned, temporary = tmp_path / "pwned", tmp_path / "temporary"
    temporary.mkdir()
    words = [*TINY, "budget.images=100000", "trainer.devices=2", f"runs_dir={tmp_path / 'runs'}"]
    going = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *words],
        env=environment | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: bool(list((tmp_path / "runs").rglob("metrics.jsonl"))))
        folders = [path for path in temporary.iterdir() if path.is_dir()]
        assert not any(path.stat().st_mode & OTHERS_WRITE for path in folders)
        for folder in folders:
            (folder / "0").write_bytes(pickle.dumps(Malicious(pwned)))
        os.kill(workers_of(going.pid)[1], signal.SIGKILL)
        _, said = going.communicate(timeout=200)
    finally:
        going.kill()
        going.wait()
    assert going.returncode == 1
    assert "was killed by SIGKILL" in said
    assert "Traceback" not in said
    assert not pwned.exists()


SABOTAGE = """
import os, torch
forward = torch.nn.Conv2d.forward

def faulty(self, x):
    if self.in_channels == 1 and torch.is_grad_enabled() and os.environ.get("RANK") == "1":
        FAULT
    return forward(self, x)

torch.nn.Conv2d.forward = faulty
"""
"""Code that Python runs at its start: a fault in what enters the network in training, in process 1 alone."""


def sabotaged(folder: Path, environment: dict[str, str], fault: str) -> dict[str, str]:
    """The environment of a command whose process 1 meets a fault."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SABOTAGE.replace("FAULT", fault))
    return environment | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def record_of(runs: Path) -> dict[str, Any]:
    (path,) = runs.rglob("run.json")
    return json.loads(path.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            "raise torch.OutOfMemoryError('CUDA out of memory.')",
            "32 images at a time (trainer.batch_size=64)",
        ),
        ("x = x * torch.nan", "not finite in phase 'net' at step 0"),
        ("raise KeyError('of ours')", "process 1 of this run failed: KeyError: 'of ours'"),
        ("os.kill(os.getpid(), 9)", "process 1 of this run was killed by SIGKILL"),
    ],
    ids=["memory", "not finite", "bug", "killed"],
)
def test_the_fault_of_one_process_is_told_in_its_own_words_and_without_a_checkpoint(
    tmp_path: Path, process: Command, environment: dict[str, str], fault: str, told: str
) -> None:
    words = (*TINY, "trainer.devices=2", f"runs_dir={tmp_path / 'runs'}")
    done = process(*words, env=sabotaged(tmp_path / "site", environment, fault))
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("genbench: ")]
    assert told in line
    assert "Nothing was saved yet" in line
    assert "last checkpoint" not in line
    record = record_of(tmp_path / "runs")
    assert record["status"] == "failed"
    assert told in record["error"]


@pytest.mark.slow
def test_all_processes_skip_what_is_not_finite_in_one(
    tmp_path: Path, process: Command, environment: dict[str, str]
) -> None:
    words = (*TINY, "trainer.devices=2", "trainer.on_nonfinite=skip", f"runs_dir={tmp_path / 'runs'}")
    fault = "x = x * torch.nan if torch.initial_seed() % 5 == 4 else x"  # in steps 4 and 6 of 8
    done = process(*words, env=sabotaged(tmp_path / "site", environment, fault))
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "runs").rglob("result.json")
    assert json.loads(path.read_text())["cost"]["skipped_batches"] == 2


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 200
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def workers_of(parent: int) -> list[int]:
    """The processes of a run by their rank, which is the order of their start."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    spawned = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return [int(pid) for pid in spawned]
