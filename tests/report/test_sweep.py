"""The report on a sweep's runs alone, where their directory holds others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from genbench.records.sweep_ledger import Ledger, Outcome
from genbench.report.compare import compare
from genbench.report.sweep import selection
from genbench.report.table import Query

NAME = "20261130-010800-4711"


@pytest.fixture
def ledger(tmp_path: Path, write: Callable[..., Path]) -> Path:
    """A ledger of two of three runs; the third one has another budget."""
    record = Ledger(tmp_path / ".sweeps" / f"{NAME}.jsonl")
    for seed in (0, 1):
        folder = write(f"sweep/{seed}", seed=seed).parent
        record.add(Outcome(seed, "done", (f"seed={seed}",), str(folder), 1.0, ""))
    return record.path


def test_a_sweep_alone_has_the_short_command_and_among_others_its_name(
    ledger: Path, tmp_path: Path, write: Callable[..., Path]
) -> None:
    assert selection(tmp_path / "sweep", ledger) == []
    write("sweep/other", config={"budget": {"images": 10}})
    for place in (tmp_path, tmp_path / "sweep"):
        assert selection(place, ledger) == ["--sweep", NAME]
        found = compare(place, Query(), sweep=NAME)
        assert [Path(run).name for run in found.runs.frame["run"]] == ["0", "1"]
        assert found.tables[0].budgets == ["60,000 images"]
        assert found.runs.settings == []  # a setting of others alone is none here
        assert len(compare(place, Query()).runs.frame) == 3


def test_a_ledger_elsewhere_selects_nothing(ledger: Path, tmp_path: Path, write: Callable[..., Path]) -> None:
    write("sweep/other")
    ledger.parent.rename(tmp_path / "sweep" / ".sweeps")
    moved = tmp_path / "sweep" / ".sweeps" / ledger.name
    assert selection(tmp_path, moved) == []
    assert selection(tmp_path / "sweep", moved) == ["--sweep", NAME]


@pytest.mark.parametrize("name", ["20261130-010800-1", "../x"])
def test_a_sweep_that_is_not_there_is_refused_with_those_that_are(
    ledger: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ValueError, match=f"is no sweep of .*; the newest there are {NAME}"):
        compare(tmp_path, Query(), sweep=name)
