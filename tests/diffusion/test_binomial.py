"""The binomial process against chains of single flips, enumerated; and samples of laws that are known."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.binomial import (
    BinomialDiffusion,
    ErasureSchedule,
    binomial_prior_nats,
    binomial_step_nats,
    coins,
    posterior_logit,
    reverse,
)
from genbench.diffusion.process import Known
from genbench.diffusion.schedule import CosineSchedule, Schedule
from genbench.diffusion.times import Stratified
from tests.toys import toy_model

SCHEDULES = [ErasureSchedule(5), CosineSchedule(5, beta_max=0.6)]
"""One that erases everything, one that leaves a signal of 0.02 at its end."""
SIGNS = (-1, 1)
CASES = list(itertools.product(SIGNS, SIGNS))
SHAPE = (1, 8, 8)
SIGMAS = 5  # a false alarm once in two million draws


class Answer(nn.Module):
    """A network that is any function of x and t."""

    def __init__(self, of: Callable[[Tensor, Tensor], Tensor | float]) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        return torch.zeros_like(x) + self.of(x, t[:, None, None, None])


def coin(p: float) -> Answer:
    """The exact network where each pixel is white with probability p: the others tell nothing of it."""
    return Answer(lambda x, t: math.log(p / (1 - p)))


def images(*shape: int, white: float) -> Tensor:
    """Independent pixels."""
    return coins(torch.full(shape, white), torch.rand(shape))


ODD = Answer(lambda x, t: torch.sin(3 * x + 7 * t))
"""A network that is wrong in its own way at every state."""


def process(
    schedule: Schedule | None = None, *, steps: int = 5, terms: int | None = None, auxiliary: float = 0.0
) -> BinomialDiffusion:
    return BinomialDiffusion(
        schedule=schedule or ErasureSchedule(5),
        times=Stratified(),
        steps=steps,
        terms=terms,
        auxiliary=auxiliary,
    )


def flips(schedule: Schedule, first: int, last: int) -> Tensor:
    """P(b_last | b_first) in rows and columns, of q(b_k | b_{k-1}) = B(b_{k-1} (1 - beta) + beta / 2)."""
    chain = torch.eye(2, dtype=torch.float64)
    for k in range(first + 1, last + 1):
        beta = 1 - schedule.table[k] / schedule.table[k - 1]
        up = torch.tensor([0.0, 1.0], dtype=torch.float64) * (1 - beta) + 0.5 * beta
        chain = chain @ torch.stack([1 - up, up], dim=1)
    return chain


def bit(x: int) -> int:
    return (x + 1) // 2


def pixel(x: float) -> Tensor:
    return torch.full((1, 1, 1, 1), float(x), dtype=torch.float64)


def time(schedule: Schedule, k: int) -> Tensor:
    return torch.tensor([k / schedule.T], dtype=torch.float64)


def bound(network: Answer, schedule: Schedule, x0: Tensor) -> Tensor:
    """All terms of one image's bound (1, C, H, W), each averaged over all states x_t exactly: ()."""
    own, total = process(schedule, steps=1), binomial_prior_nats(x0, schedule).sum().double()
    states = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=x0.numel())), dtype=torch.float64)
    xt = states.reshape(-1, *x0.shape[1:])
    for k in range(1, schedule.T + 1):
        t = time(schedule, k).expand(len(xt))
        weight = ((1 + schedule.table[k] * xt * x0) / 2).flatten(1).prod(1)
        nats = binomial_step_nats(x0.expand_as(xt), xt, own.logits(network, xt, t, None), t, schedule)
        total = total + (weight * nats).sum()
    return total


def within(frequency: Tensor, p: Tensor | float, n: int) -> bool:
    """Return True where frequencies in n draws are as close to p as they have to be."""
    p = torch.as_tensor(p, dtype=torch.float64)
    return bool(((frequency - p).abs() <= SIGMAS * (p * (1 - p) / n).sqrt() + 1e-9).all())


def white(x: Tensor) -> Tensor:
    """The share of white pixels of each channel."""
    return (x == 1).double().mean(dim=(0, 2, 3))


@pytest.mark.parametrize("T", [1, 5, 1000])
def test_each_step_of_the_erasure_takes_an_equal_share(T: int) -> None:
    alpha = ErasureSchedule(T).table
    betas = 1 / (T - torch.arange(1, T + 1, dtype=torch.float64) + 1)
    torch.testing.assert_close(alpha[1:], torch.cumprod(1 - betas, 0), rtol=0, atol=1e-12)
    assert alpha[0] == 1
    assert alpha[-1] == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("x0", SIGNS)
def test_noised_pixels_follow_the_chain_of_single_flips(schedule: Schedule, x0: int) -> None:
    x, n = torch.full((1, 1, 200, 200), float(x0)), 40_000
    frames = process(schedule).forward_states(x, None, frames=schedule.T + 1)
    for k in range(schedule.T + 1):
        p = flips(schedule, 0, k)[bit(x0), 1]
        assert within(white(process(schedule).erased(x, time(schedule, k), None)), p, n)
        assert within(white(frames[k]), p, n)
    assert torch.equal(frames[0], x)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_fair_coins_stay_fair_and_everything_becomes_one(schedule: Schedule) -> None:
    fair = torch.tensor([0.5, 0.5], dtype=torch.float64)
    chain = flips(schedule, 0, schedule.T)
    torch.testing.assert_close(fair @ chain, fair, rtol=0, atol=1e-15)
    assert within(white(process(schedule).noise(1, (1, 200, 200), None)), 0.5, 40_000)
    kl = (chain[1] * (chain[1] / fair).log()).sum()
    got = binomial_prior_nats(torch.ones(2, 1, 3, 3), schedule)
    torch.testing.assert_close(got.double(), 9 * kl.expand(2), rtol=1e-6, atol=1e-12)
    assert float(binomial_prior_nats(torch.ones(1, 1, 3, 3), ErasureSchedule(5))) == 0


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("s", "t"), [(s, t) for t in range(1, 6) for s in range(t)])
def test_the_posterior_is_bayes_rule_over_the_chain(schedule: Schedule, s: int, t: int) -> None:
    to_s, on, whole = flips(schedule, 0, s), flips(schedule, s, t), flips(schedule, 0, t)
    for x0, xt in CASES:
        want = to_s[bit(x0), 1] * on[1, bit(xt)] / whole[bit(x0), bit(xt)]
        logit = posterior_logit(pixel(xt), pixel(x0), schedule.table[t], schedule.table[s])
        torch.testing.assert_close(logit.sigmoid().squeeze(), want, rtol=0, atol=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, 3), (2, 3), (1, 5)])
def test_with_the_true_law_of_x0_the_reverse_step_is_the_true_one(schedule: Schedule, s: int, t: int) -> None:
    p = 0.2
    law = torch.tensor([1 - p, p], dtype=torch.float64)
    joint = (law @ flips(schedule, 0, s))[:, None] * flips(schedule, s, t)  # of b_s and b_t
    for xt in SIGNS:
        want = joint[:, bit(xt)] / joint[:, bit(xt)].sum()
        logits = process(schedule).logits(coin(p), pixel(xt), time(schedule, t), None)
        got = reverse(logits, pixel(xt), schedule.table[t], schedule.table[s])
        both = torch.stack([got.log_down, got.log_up]).squeeze().exp()
        torch.testing.assert_close(both, want, rtol=0, atol=1e-8)  # the answer of a network is float32


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("x0", SIGNS)
def test_the_terms_sum_to_the_bound_over_all_paths(schedule: Schedule, x0: int) -> None:
    """E_q[log q(x_1 .. x_T | x0) - log p(x_0 .. x_T)] over all 2^T paths, by single flips and Bayes' rule."""
    single = [flips(schedule, k - 1, k) for k in range(1, schedule.T + 1)]
    back = []
    for k in range(1, schedule.T + 1):
        logit = process(schedule).logits(
            ODD, torch.cat([pixel(-1), pixel(1)]), time(schedule, k).expand(2), None
        )
        of_x0 = torch.stack([(-logit).sigmoid(), logit.sigmoid()]).squeeze()  # (b_0, b_k)
        start = flips(schedule, 0, k - 1)  # (b_0, b_{k-1})
        posterior = start[:, :, None] * single[k - 1][None] / flips(schedule, 0, k)[:, None, :]
        back.append((of_x0[:, None, :] * posterior).sum(0))  # (b_{k-1}, b_k)
    want = torch.zeros((), dtype=torch.float64)
    for path in itertools.product((0, 1), repeat=schedule.T):
        states = (bit(x0), *path)
        forward = torch.stack([step[states[k], states[k + 1]] for k, step in enumerate(single)]).prod()
        backward = torch.stack([step[states[k], states[k + 1]] for k, step in enumerate(back)]).log().sum()
        want += forward * (forward.log() - backward - math.log(0.5))
    torch.testing.assert_close(bound(ODD, schedule, pixel(x0)), want, rtol=1e-6, atol=0)  # float32 terms


@pytest.mark.parametrize("T", [1, 2, 7, 300])
@pytest.mark.parametrize("p", [0.5, 0.2, 0.001])
def test_independent_pixels_cost_what_they_are_worth(T: int, p: float) -> None:
    """The exact denoiser makes the bound tight, image by image; p = 1/2 is a network that answers 0."""
    for x0, probability in ((1, p), (-1, 1 - p)):
        want = torch.tensor(-math.log(probability), dtype=torch.float64)
        # each of T terms is float32 of a cross entropy of at most 1 nat
        torch.testing.assert_close(bound(coin(p), ErasureSchedule(T), pixel(x0)), want, rtol=1e-5, atol=1e-6)


def test_what_a_schedule_leaves_at_its_end_is_what_the_bound_misses() -> None:
    p, schedule = 0.2, SCHEDULES[1]
    expected = p * bound(coin(p), schedule, pixel(1)) + (1 - p) * bound(coin(p), schedule, pixel(-1))
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    last = torch.tensor([1 - p, p], dtype=torch.float64) @ flips(schedule, 0, schedule.T)
    gap = (last * (2 * last).log()).sum()  # KL(q(x_T) || a fair coin)
    assert float(gap) > 1e-5
    torch.testing.assert_close(expected - entropy, gap, rtol=0, atol=1e-6)


TWINS = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
"""A law of two pixels that mostly agree, by their bits."""


def twins(schedule: Schedule) -> Answer:
    """Return what the other of two such pixels tells: p(x_other | x0) summed over the law."""

    def of(x: Tensor, t: Tensor) -> Tensor:
        other = (1 + schedule.alpha_bar(t.flatten())[:, None, None, None] * x.flip(3)) / 2
        up, down = TWINS[1], TWINS[0]
        return ((up[1] * other + up[0] * (1 - other)) / (down[1] * other + down[0] * (1 - other))).log()

    return Answer(of)


def test_the_bound_of_pixels_that_agree_comes_down_to_their_entropy_as_steps_are_added() -> None:
    law = {pair: float(TWINS[bit(pair[0]), bit(pair[1])]) for pair in CASES}
    pairs = {pair: torch.tensor(pair, dtype=torch.float64).reshape(1, 1, 1, 2) for pair in CASES}
    entropy = float(-(TWINS * TWINS.log()).sum())
    gaps = [
        sum(p * float(bound(twins(schedule), schedule, pairs[pair])) for pair, p in law.items()) - entropy
        for schedule in (ErasureSchedule(1), ErasureSchedule(10), ErasureSchedule(100))
    ]
    apart = 2 * math.log(2) - entropy  # one step draws the pixels independently
    assert gaps[0] == pytest.approx(apart, abs=1e-6)
    assert 0 < gaps[2] < gaps[1] / 5 < gaps[0] / 10  # about as 1 / T


@pytest.mark.parametrize("schedule", [ErasureSchedule(50), CosineSchedule(50)])
@pytest.mark.parametrize("steps", [1, 3, 50])
def test_samples_of_independent_pixels_have_their_law_on_any_subset_of_steps(
    schedule: Schedule, steps: int
) -> None:
    rng, made = torch.Generator().manual_seed(1), process(schedule, steps=steps)
    states = list(made.path(coin(0.3), made.noise(1, (1, 200, 200), rng), None, rng))
    assert len(states) == steps
    assert all(bool((x.abs() == 1).all()) for x in states)
    assert within(white(states[-1]), 0.3, 40_000)


def test_samples_of_pixels_that_agree_have_their_joint_law() -> None:
    n, schedule = 20_000, ErasureSchedule(200)
    made, rng = process(schedule, steps=200), torch.Generator().manual_seed(1)
    *_, x = made.path(twins(schedule), made.noise(n, (1, 1, 2), rng), None, rng)
    left, right = (x.flatten(1) == 1).unbind(1)
    agree = float((left == right).double().mean())
    assert within(torch.stack([left, right]).double().mean(1), 0.5, n)
    # Pixels of one step do not see each other; by the transitions of all four states, 200 steps give 0.7981.
    assert agree == pytest.approx(0.8, abs=SIGMAS * (0.8 * 0.2 / n) ** 0.5 + 0.002)


def test_pixels_that_are_known_stay_and_follow_the_forward_process_on_the_way() -> None:
    schedule = ErasureSchedule(10)
    made, rng = process(schedule), torch.Generator().manual_seed(1)
    x0 = images(1, 2, 200, 200, white=0.5)
    mask = torch.zeros_like(x0, dtype=torch.bool)
    mask[:, 0] = True
    states = list(made.path(coin(0.3), made.noise(1, (2, 200, 200), rng), None, rng, known=Known(x0, mask)))
    for x, t in zip(states, made.path_times(1.0)[1:], strict=True):
        kept = (x[:, :1] == x0[:, :1]).double().mean()
        assert within(kept, (1 + schedule.alpha_bar(t[None])) / 2, 40_000)
    assert torch.equal(states[-1][:, 0], x0[:, 0])
    assert within(white(states[-1])[1], 0.3, 40_000)


def test_a_model_fills_in_and_varies_images_of_two_values() -> None:
    model = toy_model(process=process(ErasureSchedule(20), steps=20))
    x = images(64, 1, 4, 4, white=0.5)
    mask = torch.arange(4).expand(64, 1, 4, 4) < 2
    filled = model.inpaint(x, mask, rng=torch.Generator().manual_seed(1))
    assert torch.equal(filled[~mask], x[~mask])
    assert not torch.equal(filled[mask], x[mask])
    near, far = (model.vary(x, strength=s, rng=torch.Generator().manual_seed(1)) for s in (0.05, 1.0))
    # One step of 20 makes coins of a 20th of the pixels, and half of those turn over; the model keeps them.
    assert 0.9 < float((near == x).double().mean()) < 1
    assert within((far == x).double().mean(), 0.5, x.numel())


@pytest.mark.parametrize("terms", [None, 10])
def test_log_prob_has_the_exact_value_as_its_mean(terms: int | None) -> None:
    p, n = 0.2, 256
    x0 = images(n, *SHAPE, white=p)
    got = process(ErasureSchedule(100), terms=terms).log_prob(coin(p), x0, None)
    ups = (x0 == 1).flatten(1).sum(1)
    errors = got - (ups * math.log(p) + (64 - ups) * math.log(1 - p))
    assert float(errors.mean().abs()) < SIGMAS * float(errors.std()) / n**0.5
    assert float(errors.std()) < 15  # of 32 nats


def test_the_loss_is_the_bound_a_dimension_at_sampled_steps() -> None:
    """Of one image a step of the grid; the auxiliary term is the cross entropy of x0, averaged over steps."""
    p, schedule, weight = 0.2, ErasureSchedule(50), 0.5
    x0 = images(50, 1, 40, 40, white=p)
    made = process(schedule, auxiliary=weight)
    loss = made.losses(coin(p), x0, None, phase="net")
    up = float((x0 == 1).double().mean())
    want = -up * math.log(p) - (1 - up) * math.log(1 - p)
    assert float(loss.terms["vlb"]) == pytest.approx(want, abs=0.05)  # 1,600 pixels a step
    assert float(loss.terms["prior"]) == 0
    entropies = []  # of x0 given x_t, by Bayes' rule
    for k in range(1, 51):
        joint = torch.tensor([1 - p, p], dtype=torch.float64)[:, None] * flips(schedule, 0, k)
        entropies.append(-(joint * (joint / joint.sum(0)).log()).sum())
    assert float(loss.terms["auxiliary"]) == pytest.approx(weight * float(sum(entropies)) / 50, abs=0.02)
    torch.testing.assert_close(loss.total, sum(loss.terms.values()))
    assert "auxiliary" not in process(schedule).losses(coin(p), x0, None, phase="net").terms


@pytest.mark.parametrize("schedule", [ErasureSchedule(1000), CosineSchedule(1000)])
@pytest.mark.parametrize("k", [1, 2, 999, 1000])
def test_values_and_gradients_are_finite_at_both_ends(schedule: Schedule, k: int) -> None:
    logits = (
        torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4], dtype=torch.float64).reshape(5, 1, 1, 1).requires_grad_()
    )
    for x0, xt in CASES:
        t = time(schedule, k).expand(5)
        nats = binomial_step_nats(
            pixel(x0).expand(5, 1, 1, 1), pixel(xt).expand(5, 1, 1, 1), logits, t, schedule
        )
        (gradient,) = torch.autograd.grad(nats.sum(), logits)
        assert bool(nats.isfinite().all())
        assert bool(gradient.isfinite().all())
        assert float(nats.detach().min()) >= -1e-12  # rounding of two logarithms that are equal


@pytest.mark.parametrize(
    "use",
    [
        lambda made, x: made.losses(coin(0.5), x, None, phase="net"),
        lambda made, x: made.log_prob(coin(0.5), x, None),
        lambda made, x: made.noised(x, 0.5, None),
        lambda made, x: made.forward_states(x, None, frames=3),
        lambda made, x: next(made.path(coin(0.5), x, None, None, known=Known(x, x < 1))),
    ],
    ids=["losses", "log_prob", "noised", "forward_states", "known"],
)
def test_grey_images_are_refused_with_the_value_and_the_remedy(
    use: Callable[[BinomialDiffusion, Tensor], object],
) -> None:
    x = torch.ones(2, *SHAPE)
    x[1, 0, 3, 3] = 0.25
    with pytest.raises(ValueError, match=r"the value 0.25; .*set data.binarize=true"):
        use(process(), x)
