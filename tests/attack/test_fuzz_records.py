"""Records of runs that somebody sent, changed at any place, are shown or refused; see `fuzzing`."""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.attack.fuzzing import obeys, tried
from tests.attack.hurt import changed, cut_or_flipped
from tests.attack.test_fuzz_verbs import without_work
from tests.conftest import Command

EARLIER = Path(__file__).parents[1] / "earlier_runs"
RUNS = tuple(sorted(path.name for path in EARLIER.iterdir()))
FILES = (
    "run.json",
    "result.json",
    "metrics.jsonl",
    "evaluations.jsonl",
    ".hydra/overrides.yaml",
    ".hydra/config.yaml",
)
COMMANDS = (
    *(("report", "runs", "--format", format) for format in ("md", "csv", "json", "latex", "html")),
    *(("report", "runs", "--keys"), ("report", "runs", "--by", "run"), ("report", "runs", "--keys", "--all")),
    *(
        ("report", "runs", "--format", "html", "--assets", "--out", "page"),
        ("report", "runs", "--sort", "fid"),
    ),
    *(("compare", "runs/a", "runs/b"), ("evaluate", "runs/a"), ("evaluate", "runs/a", "--set", "seed=1")),
    *(("sample", "runs/a", "--out", "new", "--n", "2"), ("sample", "runs/a", "--out", "new", "--set", "a=1")),
    *(("bound", "runs/a", "--out", "new"), ("sampler-sweep", "runs/a", "--out", "new", "--steps", "2")),
)
"""Verbs that read records: a stranger's run is runs/a, beside a good one."""


@cache
def content(run: str, file: str) -> bytes:
    """The bytes of a file of a recorded run; of its result as an evaluation where it has none."""
    path = EARLIER / run / file
    if path.is_file():
        return path.read_bytes()
    result = json.loads((EARLIER / run / "result.json").read_bytes())
    line = {
        key: result[key] for key in ("identity", "data_key", "seed", "metrics", "likelihood") if key in result
    }
    line |= {"images_seen": result["cost"]["images_seen"], "weights": "ema"}
    return json.dumps(line).encode() + b"\n"


@st.composite
def hurt(draw: st.DrawFn, run: str, file: str) -> bytes:
    """A file of a run with changed values, or damaged as bytes."""
    text = content(run, file)
    if draw(st.integers(0, 5)) == 0:
        return draw(cut_or_flipped(text))
    if file.endswith(".json"):
        return json.dumps(draw(changed(json.loads(text)))).encode()
    if file.endswith(".jsonl"):
        lines = [json.loads(line) for line in text.splitlines()[:20]]
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = draw(changed(lines[place]))
        return "".join(json.dumps(line) + "\n" for line in lines).encode()
    tree = draw(changed(yaml.safe_load(text)))
    tag = draw(st.sampled_from([b""] * 5 + [b"!!python/object/apply:os.mkdir [executed]\n", b"- &a [*a]\n"]))
    return json.dumps(tree).encode() + b"\n" + tag  # JSON is YAML


@st.composite
def sent(draw: st.DrawFn) -> tuple[str, dict[str, bytes]]:
    """The name of a recorded run, and the new contents of one or two of its files."""
    run = draw(st.sampled_from(RUNS))
    files = draw(st.lists(st.sampled_from([*FILES[:2], *FILES]), min_size=1, max_size=2, unique=True))
    return run, {file: draw(hurt(run, file)) for file in files}


def placed(run: str, files: dict[str, bytes]) -> Callable[[Path], None]:
    """Write a recorded run with changed files as runs/a, and the same unchanged as runs/b."""

    def write(folder: Path) -> None:
        for name in ("a", "b"):
            shutil.copytree(EARLIER / run, folder / "runs" / name)
        for file, new in files.items():
            (folder / "runs" / "a" / file).write_bytes(new)

    return write


CASES = given(run=sent(), words=st.sampled_from(COMMANDS))
Sent = tuple[str, dict[str, bytes]]


def check(verb: Command, run: Sent, words: tuple[str, ...]) -> None:
    """Let a verb read a stranger's run beside a good one."""
    with without_work():
        obeys(verb, list(words), placed(*run))


@pytest.mark.slow
@tried(1300)
@CASES
def test_any_record_is_shown_or_refused(verb: Command, run: Sent, words: tuple[str, ...]) -> None:
    check(verb, run, words)


@tried(8)
@CASES
def test_some_records_are_shown_or_refused(verb: Command, run: Sent, words: tuple[str, ...]) -> None:
    check(verb, run, words)
