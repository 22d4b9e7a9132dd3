"""The table of a sweep's jobs, and the time that it still takes."""

from collections.abc import Sequence

import pytest
from rich.console import Console

from genbench.records.sweep_ledger import Outcome, Status, duration, outcome_table, seconds_left, settings_of


def job(number: int, status: Status, *words: str, objective: float | None = None, note: str = "") -> Outcome:
    """One job of a sweep that took 10 s where it is done."""
    shared = ("model=ddpm", "budget.images=64")
    return Outcome(number, status, (*shared, *words), "", 10.0 * (status == "done"), note, objective)


def shown(outcomes: Sequence[Outcome], width: int = 80) -> list[str]:
    """The lines of the table."""
    console = Console(width=width)
    with console.capture() as captured:
        console.print(outcome_table(outcomes))
    return captured.get().splitlines()


def test_jobs_are_sorted_by_the_objective_and_the_best_is_marked() -> None:
    jobs = [
        job(0, "not started", "lr=0"),
        job(1, "failed", "lr=1", note="no room"),
        job(2, "done", "lr=2", objective=3.0, note="fid=3"),
        job(3, "done", "lr=3", note="fid not measured"),
        job(4, "skipped", "lr=4", objective=-1.0, note="finished; fid=-1"),
    ]
    rows = [line for line in shown(jobs) if "lr=" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["5", "3", "4", "2", "1"]
    assert [row for row in rows if "(best)" in row] == [row for row in rows if "fid=-1" in row]


def test_none_of_several_seeds_is_the_best() -> None:
    jobs = [job(n, "done", f"lr={n % 2}", f"seed={n // 2}", objective=n, note="fid") for n in range(4)]
    assert "(best)" not in "".join(shown(jobs))
    assert "(best)" in "".join(shown(jobs[:2]))


def test_seconds_of_over_a_day_are_days_and_hours() -> None:
    assert [duration(seconds) for seconds in (65, 86399, 86400, 742878)] == [
        "1:05",
        "23:59:59",
        "1 d 0 h",
        "8 d 14 h",
    ]


def test_a_single_result_is_no_best() -> None:
    assert "(best)" not in "".join(shown([job(0, "done", objective=1.0), job(1, "failed")]))


def test_settings_are_those_that_differ_in_their_shortest_names() -> None:
    jobs = [job(n, "done", f"network.width={n}", "optim.lr=1", f"a.k={n}", f"b.k={n}") for n in range(2)]
    assert settings_of(jobs) == {0: "width=0 a.k=0 b.k=0", 1: "width=1 a.k=1 b.k=1"}
    assert settings_of(jobs[:1])[0].startswith("model=ddpm images=64 width=0")


def test_a_table_of_long_settings_fits_eighty_columns() -> None:
    words = [f"network.encoder.parameter{n}=0.123456789" for n in range(8)]
    lines = shown([job(n, "done", f"seed={n}", *words[n:], note="fid=1.234") for n in range(3)])
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("statuses", "elapsed", "left"),
    [
        (["running", "not started"], {0: (5.0, None)}, None),
        (["running", "not started"], {0: (5.0, 0.5)}, 15.0),  # 10 s each
        (["done", "running", "not started"], {1: (4.0, 0.1)}, 16.0),
        (["done", "running", "running", "not started", "not started"], {1: (4.0, 0.1), 2: (4.0, 0.1)}, 16.0),
        (["done", "running"], {1: (30.0, 0.9)}, 0.0),
        (["done", "done"], {}, 0.0),
    ],
)
def test_the_time_left_follows_from_the_jobs_that_are_done(
    statuses: list[Status], elapsed: dict[int, tuple[float, float | None]], left: float | None
) -> None:
    jobs = [job(number, status) for number, status in enumerate(statuses)]
    assert seconds_left(jobs, elapsed) == left
