"""Progress on a terminal and without one."""

import io

import pytest
from rich.console import Console

from genbench.runtime import progress
from genbench.runtime.progress import Progress, terminal


def test_without_a_terminal_there_is_a_plain_line_now_and_then() -> None:
    text = io.StringIO()
    bar = progress.Bar("training", 1000, Console(file=text, width=40))
    bar.printed -= progress.PLAIN_SECONDS  # as if the time had passed
    bar.advance(250, "loss 0.5  30 images/s")
    bar.advance(260)
    (line,) = text.getvalue().splitlines()  # one line, not wrapped at the width
    assert line.startswith("training 250/1,000 ETA ")
    assert line.endswith("loss 0.5  30 images/s")


def test_no_eta_follows_from_the_first_hundredth() -> None:
    text = io.StringIO()
    bar = progress.Bar("preparing", 1000, Console(file=text))
    bar.printed -= progress.PLAIN_SECONDS
    bar.advance(1)
    assert text.getvalue() == "preparing 1/1,000 ETA ?\n"


def test_on_a_terminal_a_bar_shows_the_note() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with Progress(console).bar("training", 10) as bar:
        bar.advance(10, "loss 0.25")
    assert "loss 0.25" in text.getvalue()
    assert "10/10" in text.getvalue()


def test_no_console_is_silence() -> None:
    with Progress(None).bar("training", 10) as bar:
        bar.advance(5)
    assert bar.done == 5


def test_lines_of_parallel_jobs_say_whose_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(terminal("job 3: ")).bar("training", 10) as bar:
        bar.advance(10)
        bar.print_line()
    assert capsys.readouterr().out.startswith("job 3: training 10/10")
    assert not terminal("job 3: ").is_terminal
