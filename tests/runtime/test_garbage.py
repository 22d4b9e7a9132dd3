"""Python's search for unreachable objects is set back, however the work ends that it was slowed down for."""

import gc
from contextlib import suppress

from genbench.runtime.garbage import COLLECTED, few_collections


def test_python_looks_for_cycles_as_often_as_before_once_the_work_has_failed() -> None:
    before, inside = gc.get_threshold(), list[int]()
    with suppress(ZeroDivisionError), few_collections():
        inside.append(gc.get_threshold()[0])
        raise ZeroDivisionError
    assert inside == [COLLECTED]
    assert gc.get_threshold() == before
