"""Signals that ask a run to stop, and those that stop it at once."""

import os
import signal

import pytest

from genbench.runtime.stop import StopRequest, listening, say_stopping, stop_signals

pytestmark = pytest.mark.usefixtures("hears_hang_ups")
ANNOUNCED = [number for number in signal.Signals if number.name in ("SIGHUP", "SIGUSR2")]


@pytest.mark.parametrize("number", ANNOUNCED, ids=[number.name for number in ANNOUNCED])
def test_a_signal_that_nobody_types_asks_to_stop_and_so_does_sigterm_behind_it(
    number: signal.Signals,
) -> None:
    stop = StopRequest()
    with listening(stop):
        os.kill(os.getpid(), number)
        assert stop.requested
        stop.signalled = False
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested


def test_the_handler_of_a_scheduler_s_library_is_restored_after_the_work() -> None:
    number = stop_signals()[-1]
    before = signal.signal(number, handler := lambda *_: None)
    try:
        with listening(StopRequest()):
            assert signal.getsignal(number) is not handler
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_only_whoever_pressed_ctrl_c_reads_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, *ANNOUNCED):
        say_stopping(number)
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if line] == [
        "Stopping after the current step; Ctrl-C again to stop now.",
        "Stopping after the current step; a second signal stops now.",
        *["Stopping after the current step."] * len(ANNOUNCED),
    ]
