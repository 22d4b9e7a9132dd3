"""Random streams."""

import torch

from genbench.runtime import rng

CPU = torch.device("cpu")


def test_streams_of_different_names_differ_and_of_the_same_name_agree() -> None:
    draws = {
        key: torch.rand(4, generator=rng.generator(CPU, *key)).tolist()
        for key in ((0, "a", 0), (0, "b", 0), (0, "a", 1), (1, "a", 0))
    }
    assert len({tuple(values) for values in draws.values()}) == 4
    assert torch.rand(4, generator=rng.generator(CPU, 0, "a", 1)).tolist() == draws[0, "a", 1]


def test_names_are_not_confused_by_their_borders() -> None:
    assert rng.derive(1, "2", 3) != rng.derive(12, "", 3)
    assert rng.derive(0, "1", 23) != rng.derive(0, "12", 3)


def test_a_step_seed_depends_on_the_seed_and_the_images_seen_alone() -> None:
    rng.seed_step(3, 128)
    first = torch.rand(4)
    torch.rand(100)
    rng.seed_step(3, 128)
    assert torch.equal(torch.rand(4), first)
    rng.seed_step(3, 192)
    assert not torch.equal(torch.rand(4), first)


def test_a_fork_leaves_the_default_generator_as_it_was() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with rng.fork(CPU):
        torch.manual_seed(99)
        torch.rand(10)
    assert torch.equal(torch.rand(3), expected)
