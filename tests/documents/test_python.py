"""The Python of a page runs: its blocks in their order, in one namespace, beside runs and images."""

import re
from pathlib import Path

import pytest

from tests.documents import examples
from tests.documents.pages import PAGES, filled, python_blocks

TRAINS = re.compile(r"\b(train|evaluate)\(")
QUICK = "README.md"
"""The page whose trainings are run in every suite."""
CUTS = {
    r"budget\.images=[\d_]+": "budget.images=640",
    r"\btrain\(\[": 'train(["budget.images=640", "tracker=jsonl", ',
    r"\btrain\(\)": 'train(["budget.images=640", "tracker=jsonl"])',
}
"""Settings that turn a training of minutes into one of seconds."""


def cut(code: str) -> str:
    for long, short in CUTS.items():
        code = re.sub(long, short, code)
    return code


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] if page != QUICK and TRAINS.search(code) else [])
        for page in PAGES
        if (code := "".join(python_blocks(page)))
    ],
)
def test_the_python_of_a_page_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.setenv("GENBENCH_CACHE", environment["GENBENCH_CACHE"])
    place = examples.folder(tmp_path)
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    names = examples.values(place, examples.runs_of(place)[0])
    namespace = {"__name__": "__main__"}
    for number, code in enumerate(python_blocks(page), 1):
        exec(compile(filled(cut(code), names), f"{page}, block {number}", "exec"), namespace)
