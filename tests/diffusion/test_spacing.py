"""Spacings: distinct steps of the grid, as near to their formulas as it allows."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genbench.diffusion.sampler import DDIM
from genbench.diffusion.schedule import (
    CosineSchedule,
    EDMSchedule,
    LinearSchedule,
    Schedule,
    ZeroTerminalSchedule,
)
from genbench.diffusion.spacing import Karras, LogSNR, Spacing, UniformSpacing, distinct

SPACINGS = [UniformSpacing(), LogSNR(), LogSNR(sigma_max=5.0), Karras(), Karras(2.0, sigma_max=1e5)]
GRIDS = [LinearSchedule, CosineSchedule, EDMSchedule, ZeroTerminalSchedule]


def sigma(schedule: Schedule, times: Tensor) -> Tensor:
    """sigma / alpha, computed apart from the package's log-SNR."""
    alpha_bar = schedule.alpha_bar(times)
    return ((1 - alpha_bar) / alpha_bar).sqrt()


@settings(max_examples=100, deadline=None)
@given(
    spacing=st.sampled_from(SPACINGS),
    grid=st.sampled_from(GRIDS),
    T=st.integers(21, 200),
    share=st.floats(0, 1),
    start=st.floats(0.01, 1.0),
)
def test_times_are_distinct_steps_of_the_grid_from_start_to_zero(
    spacing: Spacing, grid: type[Schedule], T: int, share: float, start: float
) -> None:
    top = max(round(start * T), 1)
    steps = max(round(share * top), 1)
    times = spacing.times(grid(T), steps, start)
    assert times.shape == (steps + 1,)
    assert times.dtype == torch.float64
    assert torch.equal(torch.round(times * T) / T, times)
    assert float(times[0]) == top / T
    assert float(times[-1]) == 0
    assert bool((times.diff() < 0).all())


@given(k=st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_distinct_steps_keep_their_ends_and_move_only_where_they_must(k: list[int]) -> None:
    given_steps = torch.tensor([0, *sorted(k)])
    given_steps[-1] = max(int(given_steps[-1]), len(k))
    moved = distinct(given_steps)
    assert bool((moved.diff() > 0).all())
    assert moved[[0, -1]].tolist() == given_steps[[0, -1]].tolist()
    assert torch.equal(distinct(moved), moved)


def test_uniform_is_the_even_grid_of_the_schedule() -> None:
    assert torch.equal(
        UniformSpacing().times(LinearSchedule(1000), 37, 0.7), LinearSchedule(1000).times(37, 0.7)
    )


@pytest.mark.parametrize("start", [1.0, 0.6])
@pytest.mark.parametrize("rho", [2.0, 7.0])
def test_karras_follows_its_equation(rho: float, start: float) -> None:
    """sigma_i = (a^(1/rho) + i / (N - 1) (b^(1/rho) - a^(1/rho)))^rho, i = 0..N - 1, and sigma_N = 0."""
    schedule, N = LinearSchedule(50_000), 12
    times = Karras(rho, sigma_max=1e9).times(schedule, N, start)
    a, b = sigma(schedule, torch.tensor([times[0], 1 / schedule.T])) ** (1 / rho)
    expected = (a + torch.arange(N).double() / (N - 1) * (b - a)) ** rho
    # Half a step of the grid is under 1 percent of sigma from its 50th step on.
    fine = times[:-1] > 50 / schedule.T
    assert int(fine.sum()) >= 8
    assert torch.allclose(sigma(schedule, times[:-1])[fine], expected[fine], rtol=0.01)
    assert float(times[-2]) == 1 / schedule.T


def test_log_snr_divides_the_log_of_the_noise_evenly() -> None:
    schedule = LinearSchedule(50_000)
    log = sigma(schedule, LogSNR(sigma_max=1e9).times(schedule, 12)[:-1]).log()
    # 11 intervals over about 11 nats; neighbours near t = 0 are log(sqrt(2)) apart and less.
    assert torch.allclose(log.diff()[:-2], (log[-1] - log[0]) / 11, rtol=0.02)


def test_karras_with_a_large_rho_is_log_snr() -> None:
    for start in (1.0, 0.3):
        expected = LogSNR().times(CosineSchedule(1000), 20, start)
        assert torch.equal(Karras(1e6).times(CosineSchedule(1000), 20, start), expected)


@pytest.mark.parametrize("make", [LogSNR, Karras])
def test_one_step_leads_past_the_noise_above_sigma_max(make: Callable[..., Spacing]) -> None:
    for schedule in (CosineSchedule(1000), ZeroTerminalSchedule(1000, CosineSchedule)):
        first, second, third = sigma(schedule, make(sigma_max=20.0).times(schedule, 10)[:3])
        assert float(first) > 1e4  # 20,000 for the cosine, without end for zero signal
        assert float(second) == pytest.approx(20, rel=0.05)  # a grid step is 4 percent there
        assert float(third) < 15


def test_sigma_max_says_nothing_where_there_is_less_noise() -> None:
    for schedule, start in ((EDMSchedule(1000), 1.0), (CosineSchedule(1000), 0.5)):
        assert torch.equal(
            Karras(sigma_max=80.0).times(schedule, 10, start),
            Karras(sigma_max=1e6).times(schedule, 10, start),
        )


@pytest.mark.parametrize("spacing", SPACINGS)
def test_samplers_take_fewer_steps_from_an_earlier_start(spacing: Spacing) -> None:
    times = DDIM(20, spacing=spacing).times(LinearSchedule(1000), 0.3)
    assert len(times) == 6 + 1
    assert float(times[0]) == 0.3


@pytest.mark.parametrize("spacing", SPACINGS)
def test_more_steps_than_the_grid_has_are_refused(spacing: Spacing) -> None:
    with pytest.raises(ValueError, match=r"sampler.steps is 101.*schedule.T=100"):
        spacing.times(LinearSchedule(100), 101)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Karras(0.0), r"sampler.spacing.rho is 0.0; it must be above 0"),
        (lambda: Karras(sigma_max=0.0), r"sampler.spacing.sigma_max is 0.0"),
        (lambda: LogSNR(sigma_max=float("inf")), r"sampler.spacing.sigma_max is inf; .* finite"),
    ],
)
def test_illegal_settings_are_refused_with_their_key(make: Callable[[], Spacing], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
