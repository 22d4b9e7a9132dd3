"""Samplers of masked models: the distributions that they draw from, by sums over all their ways."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.masking import CosineMasking, LinearMasking
from genbench.autoregressive.unmasking import Ancestral, Confidence, Proposal, Unmasking
from genbench.runtime import global_batch
from tests.autoregressive.masked_toys import (
    IMAGES,
    MASK,
    STATES,
    N,
    Table,
    arbitrary,
    assert_drawn_from,
    model,
    order_log_probs,
    shares,
    true_conditionals,
)

State = tuple[int, ...]
Step = Callable[[Table, State, float, float], dict[State, float]]
DRAWS = 20_000
UNIFORM_ORDER = 1e6  # a temperature beside which no confidence counts


def drawn(net: Table, unmasking: Unmasking) -> Tensor:
    return shares(model(net, unmasking).sample(DRAWS, rng=torch.Generator().manual_seed(1)))


def chain(net: Table, unmasking: Unmasking, step: Step) -> Tensor:
    """The distribution after all steps, from all tokens masked: (8,)."""
    at = {(MASK,) * N: 1.0}
    for t, s in itertools.pairwise(unmasking.times(N)):
        after = dict.fromkeys(STATES, 0.0)
        for state, p in ((state, p) for state, p in at.items() if p):
            for reached, q in step(net, state, unmasking.alpha(t), unmasking.alpha(s)).items():
                after[reached] += p * q
        at = after
    return torch.tensor([at[image] for image in IMAGES], dtype=torch.float64)


def ancestral_step(net: Table, state: State, before: float, after: float) -> dict[State, float]:
    """Each masked token is drawn with probability (after - before) / (1 - before)."""
    p, rate, found = net.p(state).tolist(), (after - before) / (1 - before), dict.fromkeys(STATES, 0.0)
    for reached in STATES:
        q = 1.0
        for i, (old, new) in enumerate(zip(state, reached, strict=True)):
            stays = float(new == old) if old != MASK else 1 - rate
            q *= stays if old != MASK or new == MASK else rate * p[i][new]
        found[reached] = q
    return found


def greedy_step(net: Table, state: State, before: float, after: float) -> dict[State, float]:
    """Values for all masked tokens, of which the most probable one is drawn."""
    masked = [i for i in range(N) if state[i] == MASK]
    p, found = net.p(state).tolist(), dict.fromkeys(STATES, 0.0)
    for values in itertools.product((0, 1), repeat=len(masked)):
        each = [p[i][v] for i, v in zip(masked, values, strict=True)]
        best = max(range(len(masked)), key=each.__getitem__)
        reached = tuple(values[best] if i == masked[best] else v for i, v in enumerate(state))
        found[reached] += math.prod(each)
    return found


@pytest.mark.parametrize("masking", [LinearMasking(), CosineMasking()])
@pytest.mark.parametrize("steps", [1, 2, None, 7])
def test_ancestral_draws_from_its_chain(masking: LinearMasking | CosineMasking, steps: int | None) -> None:
    net, unmasking = arbitrary(), Ancestral(masking, steps)
    p = chain(net, unmasking, ancestral_step)
    assert float(p.sum()) == pytest.approx(1)
    assert_drawn_from(drawn(net, unmasking), p)


def test_greedy_confidence_draws_from_its_chain() -> None:
    net, unmasking = arbitrary(), Confidence(LinearMasking(), temperature=0.0)
    assert_drawn_from(drawn(net, unmasking), chain(net, unmasking, greedy_step))


@pytest.mark.parametrize("masking", [LinearMasking(), CosineMasking()])
def test_single_tokens_in_random_order_are_draws_from_the_mean_over_orders(
    masking: LinearMasking | CosineMasking,
) -> None:
    """At as many steps as tokens no schedule can draw more than one in a step."""
    net = arbitrary()
    p = torch.stack([order_log_probs(net, image).exp().mean() for image in IMAGES])
    assert_drawn_from(drawn(net, Confidence(masking, temperature=UNIFORM_ORDER)), p)


def test_with_the_true_conditionals_they_are_draws_from_the_data() -> None:
    p = torch.rand(8, generator=torch.Generator().manual_seed(0)).double()
    p /= p.sum()
    assert_drawn_from(drawn(true_conditionals(p), Confidence(LinearMasking(), temperature=UNIFORM_ORDER)), p)


@pytest.mark.parametrize("unmasking", [Ancestral(CosineMasking(), 1), Confidence(CosineMasking(), 1)])
def test_one_step_is_the_product_of_the_marginals(unmasking: Unmasking) -> None:
    net = arbitrary()
    each = net.p((MASK,) * N)
    p = torch.stack([each[range(N), image].prod() for image in IMAGES])
    assert_drawn_from(drawn(net, unmasking), p)


@pytest.mark.parametrize("unmasking", [Ancestral(CosineMasking(), 5), Confidence(CosineMasking(), 2)])
def test_a_token_that_is_drawn_stays(unmasking: Unmasking) -> None:
    states = list(model(arbitrary(), unmasking).states(200, rng=torch.Generator().manual_seed(0)))
    assert not states[0].any()
    for before, after in itertools.pairwise(states):
        assert torch.equal(after[before != 0], before[before != 0])
    assert bool((states[-1] != 0).all())


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_confidence_draws_the_same_number_of_tokens_of_each_image(steps: int) -> None:
    *states, _ = model(arbitrary(), Confidence(LinearMasking(), steps)).states(50)
    for k, state in enumerate(states):
        assert set((state == 0).flatten(1).sum(1).tolist()) == {max(N * (steps - k) // steps, 1)}


def test_greedy_confidence_ranks_by_probability_alone_whatever_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(global_batch, "uniform", lambda n, shape, **_: torch.zeros(n, *shape))
    log_p = torch.tensor([[-1.0, -4.0, -2.0, -3.0]])
    proposal = Proposal(torch.ones(1, 4, dtype=torch.bool), torch.tensor([4]), log_p)
    remain = Confidence(LinearMasking(), temperature=0.0).remain(proposal, 1.0, 0.5, None)
    assert remain.tolist() == [[False, True, False, True]]


@pytest.mark.parametrize("steps", [0, -1, 100_000])
def test_a_number_of_steps_that_cannot_be_is_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=rf"unmasking.steps is {steps}; it must be from 1"):
        Ancestral(LinearMasking(), steps)


def test_more_confident_steps_than_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r"steps is 4, and there are 3 tokens.* set it to 3 or fewer"):
        model(arbitrary(), Confidence(LinearMasking(), 4))


def test_a_temperature_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature is -1"):
        Confidence(LinearMasking(), temperature=-1)
