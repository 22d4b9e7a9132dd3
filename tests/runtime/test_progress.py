"""Progress on a terminal and without one."""

import io
import re

import pytest
from rich.console import Console

from genbench.runtime import progress
from genbench.runtime.progress import Progress, terminal


def test_without_a_terminal_there_is_a_plain_line_now_and_then() -> None:
    text = io.StringIO()
    bar = progress.Bar("training", 1000, "images", Console(file=text, width=40))
    bar.printed -= progress.PLAIN_SECONDS  # as if the time had passed
    bar.advance(250, "loss 0.5  30 images/s")
    bar.advance(260)
    (line,) = text.getvalue().splitlines()  # one line, not wrapped at the width
    assert line.startswith("training 250/1,000 images ETA ")
    assert line.endswith("loss 0.5  30 images/s")


def test_no_eta_follows_from_the_first_hundredth() -> None:
    text = io.StringIO()
    bar = progress.Bar("preparing", 1000, "images", Console(file=text))
    bar.printed -= progress.PLAIN_SECONDS
    bar.advance(1)
    assert text.getvalue() == "preparing 1/1,000 images ETA ?\n"


def test_on_a_terminal_a_bar_shows_the_note() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    with Progress(console).bar("training", 10) as bar:
        bar.advance(10, "loss 0.25")
    assert "loss 0.25" in text.getvalue()
    assert "10/10" in text.getvalue()


NOTE = "discriminator loss 0.1234  generator loss 0.5678  1,234 images/s"


@pytest.mark.parametrize(
    ("width", "shown", "dropped"),
    [
        (60, [], ["loss", "images/s"]),
        (80, ["1,234 images/s"], ["loss"]),
        (100, ["generator loss 0.5678", "1,234 images/s"], ["discriminator"]),
        (126, ["discriminator loss 0.1234", "1,234 images/s"], []),
    ],
)
def test_a_narrow_terminal_shows_count_time_and_eta_and_drops_losses_first(
    width: int, shown: list[str], dropped: list[str]
) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None)
    with Progress(console).bar("training", 60_000) as bar:
        bar.advance(12_345, NOTE)
    lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", text.getvalue()).replace("\r", "\n").splitlines()
    line = [line for line in lines if line.strip()][-1]
    assert re.match(r"training [━╸╺ -]{6,24} 12,345/60,000 images 0:00:0\d ETA \S+", line)
    assert len(line.rstrip()) <= width
    assert [part for part in shown if part not in line] == []
    assert [part for part in dropped if part in line] == []
    assert "…" not in line


def test_a_sentence_breaks_between_words_on_a_terminal_alone() -> None:
    sentence = "ddpm on digits, 60,000 images -> runs/default/ddpm-digits-seed0-1a2b3c4d"
    for force in (True, False):
        text = io.StringIO()
        Progress(Console(file=text, force_terminal=force, width=33)).say([sentence])
        lines = ["ddpm on digits, 60,000 images", "  -> runs/default/ddpm-digits-seed0-1a2b3c4d"]
        assert text.getvalue().splitlines() == (lines if force else [sentence])


def test_a_title_is_cut_before_the_count() -> None:
    long = "error of the likelihood's solver"
    found = progress.layout(long, "10,000 s", "5 images/s", 60)
    assert (found.note, found.title) == ("", "error of the l..")
    assert progress.layout(long, "10,000 s", "", 150) == (long, 24, "")


def test_the_drawn_bar_is_as_wide_with_a_note_as_without() -> None:
    for width in (60, 80, 100, 120, 200):
        bars = {progress.layout("training", "60,000 images", note, width).bar for note in ("", NOTE)}
        assert len(bars) == 1


def test_one_batch_of_two_is_enough_for_an_eta_on_a_terminal() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100, color_system=None)
    with Progress(console).bar("evaluating", 359) as bar:
        bar.started -= 10
        bar.advance(256)
    assert re.search(r"256/359 images \d:\d\d:\d\d ETA 0:00:04", text.getvalue())


def test_a_resumed_work_has_the_rate_of_this_session() -> None:
    bar = progress.Bar("training", 1000, "s", None)
    bar.begin(800)
    assert bar.seconds_left is None
    bar.started -= 10
    bar.advance(900)
    assert bar.seconds_left == pytest.approx(10.0, abs=0.1)


def test_a_turning_sign_is_shown_on_a_terminal_alone_and_leaves_nothing() -> None:
    for force, quiet in ((True, False), (True, True), (False, False)):
        text = io.StringIO()
        console = Console(file=text, force_terminal=force, width=80, quiet=quiet)
        with pytest.raises(KeyboardInterrupt), Progress(console).waiting("loading libraries"):
            raise KeyboardInterrupt
        assert ("loading libraries" in text.getvalue()) == (force and not quiet)
        if force and not quiet:
            assert text.getvalue().endswith("\x1b[?25h\r\x1b[1A\x1b[2K")  # the cursor, and an empty line


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
