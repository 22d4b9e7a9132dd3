"""One object for device, seed, progress, stop request and processes."""

from dataclasses import replace

import pytest
import torch

from genbench.runtime.context import Context
from genbench.runtime.stop import Stopped

CPU = torch.device("cpu")


def test_a_stream_depends_on_seed_name_and_number_alone() -> None:
    context = Context(CPU, seed=3)
    first = torch.rand(4, generator=context.generator("evaluate", 64))
    torch.rand(7)
    again = torch.rand(4, generator=Context(CPU, seed=3).generator("evaluate", 64))
    assert torch.equal(first, again)
    for other in (
        context.generator("evaluate", 65),
        context.generator("gallery", 64),
        replace(context, seed=4).generator("evaluate", 64),
    ):
        assert not torch.equal(first, torch.rand(4, generator=other))


def test_a_stop_is_raised_once_it_is_asked_for() -> None:
    context = Context(CPU)
    context.check_stop()
    context.stop.signalled = True
    with pytest.raises(Stopped):
        context.check_stop()


def test_two_contexts_share_no_stop_request() -> None:
    first, second = Context(CPU), Context(CPU)
    first.stop.signalled = True
    second.check_stop()


def test_one_process_is_the_first_and_silent_by_default() -> None:
    context = Context(CPU)
    assert context.first
    assert context.progress.console is None
