"""Times of training batches."""

from collections import deque

import pytest
import torch
from scipy import stats

from genbench.diffusion.schedule import CosineSchedule, EDMSchedule
from genbench.diffusion.times import DrawnTimes, Importance, LogNormal, Stratified, Times, UniformTimes
from genbench.runtime.global_batch import Part, at_work

CPU = torch.device("cpu")
T, HISTORY = 10, 3


def steps(t: torch.Tensor) -> torch.Tensor:
    return torch.round(t * T).long()


def filled(*, uniform: float = 0.2) -> Importance:
    """A law with a full history: the losses of step k are about k."""
    times = Importance(T, HISTORY, uniform)
    for _ in range(HISTORY):
        k = torch.arange(1, T + 1)
        times.update(k.double() / T, k * torch.rand(T))
    return times


@pytest.mark.parametrize("times", [UniformTimes(), Stratified(), Importance(T)])
def test_every_step_of_the_grid_is_equally_likely(times: Times) -> None:
    n, draws = 7, 1000
    t = torch.cat([times(n, CosineSchedule(T), CPU).t for _ in range(draws)])
    counts = torch.bincount(steps(t), minlength=T + 1)
    assert int(counts[0]) == 0  # t = 0 is data
    # 700 expected a step; five standard deviations of independent draws (stratified ones vary less)
    assert bool(((counts[1:] - n * draws / T).abs() < 5 * (n * draws / T) ** 0.5).all())


def test_stratified_batches_cover_the_grid_evenly() -> None:
    schedule = CosineSchedule(1000)
    for _ in range(100):
        t = Stratified()(10, schedule, CPU).t.sort().values
        gaps = t.diff()
        assert float(gaps.min()) >= 0.099  # 0.1, up to one step of the grid
        assert float(gaps.max()) <= 0.101


@pytest.mark.parametrize("times", [UniformTimes(), Stratified(), LogNormal(), Importance(50)])
def test_times_lie_on_the_grid_and_count_alike_at_first(times: Times) -> None:
    t, weight = times(1000, CosineSchedule(50), CPU)
    assert t.dtype == torch.float64
    assert torch.equal(torch.round(t * 50) / 50, t)
    assert float(t.min()) > 0
    assert torch.equal(weight, torch.ones(1000))


def test_the_noise_of_lognormal_times_is_lognormal_up_to_the_grid() -> None:
    schedule, n = EDMSchedule(1000), 20_000
    law = stats.norm(-1.2, 1.2)
    log_sigma = -schedule.log_snr(LogNormal()(n, schedule, CPU).t) / 2
    grid = -torch.logit(schedule.table[1:]) / 2
    middles = law.cdf((grid[1:] + grid[:-1]) / 2)
    rounding = max(abs(middles - law.cdf(grid[1:])).max(), abs(middles - law.cdf(grid[:-1])).max())
    # sqrt(ln(2 / 1e-6) / (2 n)): the bound on the distance that one draw in a million exceeds
    assert stats.kstest(log_sigma.numpy(), law.cdf).statistic < 0.0191 + rounding
    assert rounding < 0.01


def test_importance_is_uniform_until_every_step_has_its_history() -> None:
    times = Importance(T, HISTORY)
    k = torch.arange(1, T + 1).repeat(HISTORY)[:-1]
    times.update(k.double() / T, k.float())
    assert torch.equal(times.probabilities(), torch.full((T,), 1 / T, dtype=torch.float64))
    times.update(torch.ones(1, dtype=torch.float64), torch.full((1,), float(T)))
    assert bool((times.probabilities().diff() > 0).all())


def test_importance_follows_the_last_losses_of_each_step() -> None:
    """Eq. 18 by lists; in batches of 40 steps come back more often than the history is long."""
    times, lists = Importance(T, HISTORY, 0.1), [deque(maxlen=HISTORY) for _ in range(T)]
    for n in (40, 5, 40, 1, 25, 40):
        k, loss = torch.randint(1, T + 1, (n,)), torch.rand(n)
        times.update(k.double() / T, loss)
        for step, value in zip(k.tolist(), loss.tolist(), strict=True):
            lists[step - 1].append(value)
    roots = [(sum(value**2 for value in losses) / HISTORY) ** 0.5 for losses in lists]
    expected = [0.9 * root / sum(roots) + 0.1 / T for root in roots]
    assert all(len(losses) == HISTORY for losses in lists)
    assert times.probabilities().tolist() == pytest.approx(expected, rel=1e-12)  # sums in another order


def test_importance_is_unbiased() -> None:
    times, f = filled(), torch.rand(T, dtype=torch.float64)
    t, weight = times(5000, CosineSchedule(T), CPU)
    weights = torch.full((T,), torch.nan, dtype=torch.float64)
    weights[steps(t) - 1] = weight.double()  # no step is missing: the rarest has probability 0.02
    mean = float((times.probabilities() * weights * f).sum())
    assert mean == pytest.approx(float(f.mean()), rel=1e-6)  # weights are float32


def test_importance_draws_by_its_probabilities() -> None:
    times, n = filled(), 50_000
    counts = torch.bincount(steps(times(n, CosineSchedule(T), CPU).t), minlength=T + 1)[1:]
    p = times.probabilities()
    assert float(p.max() / p.min()) > 3  # far from uniform
    assert stats.chisquare(counts.numpy(), (n * p / p.sum()).numpy()).pvalue > 1e-6


def test_importance_of_a_batch_in_parts_is_that_of_the_whole() -> None:
    """No part draws by what another part of its step has cost."""
    times, whole = filled(), filled()
    whole.load_state_dict(times.state_dict())
    before, k, loss = times.probabilities(), torch.randint(1, T + 1, (12,)), torch.rand(12)
    whole.update(k.double() / T, loss)
    for index in range(3):
        assert torch.equal(times.probabilities(), before)
        rows = slice(4 * index, 4 * index + 4)
        with at_work(Part(index, 3, last=index == 2)):
            times.update(k[rows].double() / T, loss[rows])
    assert not torch.equal(times.probabilities(), before)
    assert all(torch.equal(times.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_importance_comes_back_bit_for_bit() -> None:
    def on(times: Importance) -> DrawnTimes:
        torch.manual_seed(1)
        for _ in range(4):
            t, weight = times(8, CosineSchedule(T), CPU)
            times.update(t, torch.rand(8))
        return DrawnTimes(t, weight)

    times, twin = filled(), Importance(T, HISTORY, 0.2)
    twin.load_state_dict(times.state_dict())
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(on(times), on(twin), strict=True))
    assert all(torch.equal(times.state_dict()[name], value) for name, value in twin.state_dict().items())


def test_losses_leave_no_gradient_and_other_laws_as_they_are() -> None:
    loss, t = torch.rand(4, requires_grad=True), torch.ones(4, dtype=torch.float64)
    times = Importance(T, HISTORY)
    times.update(t, loss * 2)
    assert not times.losses.requires_grad
    plain = UniformTimes()
    plain.update(t, loss)
    assert plain.state_dict() == {}


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (lambda: Importance(0), r"times.T is 0"),
        (lambda: Importance(T, 0), r"times.history is 0"),
        (lambda: Importance(T, uniform=0.0), r"times.uniform is 0.0; it must be above 0"),
        (lambda: LogNormal(std=0.0), r"times.std is 0.0"),
        (lambda: Importance(T)(1, CosineSchedule(20), CPU), r"times.T is 10, and schedule.T is 20"),
    ],
)
def test_what_no_law_can_be_made_of_is_refused(times: type[Times], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        times()
