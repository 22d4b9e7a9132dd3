"""The cost of a run that started from another one."""

from dataclasses import replace

from genbench.records.result import Cost
from genbench.session.run_cost import with_start

START = Cost(images_seen=100, start_images=50, training_seconds=30.0, training_flops=4e9, training_joules=7.0)
OWN = Cost(training_seconds=10.0, training_flops=1e9, training_joules=2.0, target_seconds=5.0)


def test_what_a_run_started_from_is_part_of_its_seconds_joules_and_operations() -> None:
    found = with_start(OWN, START)
    assert (found.training_seconds, found.training_joules, found.training_flops) == (40.0, 9.0, 5e9)
    assert (found.start_images, found.start_seconds, found.target_seconds) == (150, 30.0, 35.0)


def test_energy_that_one_part_lacks_and_a_target_that_was_not_reached_stay_unknown() -> None:
    assert with_start(OWN, replace(START, training_joules=None)).training_joules is None
    found = with_start(replace(OWN, training_joules=None, target_seconds=None), START)
    assert (found.training_joules, found.target_seconds) == (None, None)
