"""Noise schedules against the published figures and their own laws."""

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from genbench.diffusion.learned_schedule import LearnedSchedule
from genbench.diffusion.schedule import (
    CosineSchedule,
    EDMSchedule,
    GeometricSchedule,
    LinearSchedule,
    Schedule,
    SigmoidSchedule,
    ZeroTerminalSchedule,
)
from genbench.diffusion.variance_exploding import VarianceExplodingSchedule

CONF = Path(__file__).resolve().parents[2] / "conf" / "schedule"
SHIPPED = sorted(path.stem for path in CONF.glob("*.yaml"))
ALL = [
    *(
        LinearSchedule(1000),
        LinearSchedule(100),
        CosineSchedule(1000),
        CosineSchedule(50),
        GeometricSchedule(1000),
        SigmoidSchedule(1000),
        SigmoidSchedule(50),
    ),
    *(
        EDMSchedule(1000),
        EDMSchedule(10),
        ZeroTerminalSchedule(1000),
        ZeroTerminalSchedule(50, CosineSchedule),
        LearnedSchedule(100, width=8),
        VarianceExplodingSchedule(1000),
        VarianceExplodingSchedule(10),
    ),
]
each = pytest.mark.parametrize("schedule", ALL, ids=lambda s: f"{type(s).__name__}{s.T}")


def betas(schedule: Schedule) -> torch.Tensor:
    return 1 - schedule.table[1:] / schedule.table[:-1]


def grid(schedule: Schedule) -> torch.Tensor:
    return torch.arange(schedule.T + 1, dtype=torch.float64) / schedule.T


@pytest.mark.parametrize(
    ("schedule", "beta_1", "beta_T", "middle", "last"),
    [
        (LinearSchedule(1000), 1e-4, 0.02, 0.07858724288, 4.035829765e-5),
        (CosineSchedule(1000), 4.128422482e-5, 0.999, 0.4938435904, 2.428766907e-9),
        (CosineSchedule(4000), 9.865818814e-6, 0.999, 0.4938435904, 1.517980469e-10),
    ],
)
def test_the_table_has_the_published_values(
    schedule: Schedule, beta_1: float, beta_T: float, middle: float, last: float
) -> None:
    # The figures are given to ten digits; 1 - ratio loses a few of them where beta is 1e-5.
    assert float(betas(schedule)[0]) == pytest.approx(beta_1, rel=1e-8)
    assert float(betas(schedule)[-1]) == pytest.approx(beta_T, rel=1e-8)
    assert float(schedule.table[schedule.T // 2]) == pytest.approx(middle, rel=1e-9)
    assert float(schedule.table[-1]) == pytest.approx(last, rel=1e-9)


@each
def test_alpha_bar_falls_strictly_from_one_and_reaches_zero_only_where_it_should(schedule: Schedule) -> None:
    table = schedule.table.detach()
    assert table.dtype == torch.float64
    assert len(table) == schedule.T + 1
    assert float(table[0]) == 1.0
    assert bool((table.diff() < 0).all())
    assert float(table[-1]) >= 0
    assert (float(table[-1]) == 0) == isinstance(schedule, ZeroTerminalSchedule)


def test_linear_keeps_its_noise_when_the_grid_is_refined() -> None:
    # Betas scaled by 1000 / T approximate the same integral; the error of a Riemann sum falls as 1 / T.
    assert float(LinearSchedule(4000).table[-1]) == pytest.approx(
        float(LinearSchedule(1000).table[-1]), rel=0.2
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_nothing_of_the_image_is_left_where_sampling_starts_from_noise(name: str) -> None:
    """alpha_bar_T below 1e-4 as shipped, but for two that keep their papers' ends.

    EDM's sigma_max = 80 is 1.6e-4. A learned schedule's end is trained by a bound that counts what it leaves.
    """
    schedule = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
    most = {"edm": 1.6e-4, "learned": 7e-3}.get(name, 1e-4)
    assert float(schedule.at(schedule.grid[-1:]).detach()) < most


@pytest.mark.parametrize("T", [4, 20, 50, 60, 61, 100, 1000, 4000])
def test_geometric_leaves_no_signal_on_any_grid(T: int) -> None:
    assert float(GeometricSchedule(T).table[-1]) < 1e-4


def test_geometric_betas_have_a_constant_ratio_between_their_ends() -> None:
    b = betas(GeometricSchedule(1000))
    ratio = b[1:] / b[:-1]
    assert float(ratio.std()) < 1e-9  # rounding of 1 - (1 - beta) at beta = 1e-4
    assert float(b[0]) == pytest.approx(1e-4, rel=1e-9)
    assert float(b[-1]) == pytest.approx(0.06, rel=1e-9)


@pytest.mark.parametrize(("T", "last"), [(61, 0.06), (1000, 0.06), (10, 0.0099)])
def test_geometric_is_bounded_only_where_a_beta_would_reach_one(T: int, last: float) -> None:
    """Recorded runs, at whose T none did, keep every bit."""
    first, last = 1e-4 * 1000 / T, last * 1000 / T
    expected = torch.linspace(math.log(first), math.log(last), T, dtype=torch.float64).exp()
    assert torch.equal(GeometricSchedule(T, beta_T=last * T / 1000).betas(), expected)
    assert float(GeometricSchedule(50).betas().max()) == 0.999


def test_sigmoid_is_symmetric_about_its_middle() -> None:
    table = SigmoidSchedule(1000).table
    # alpha_bar(u) + alpha_bar(1 - u) = 1 for start = -end, except where the last beta is clipped.
    assert torch.allclose(table[1:500] + table[501:1000].flip(0), torch.ones(499, dtype=torch.float64))


@pytest.mark.parametrize("T", [2, 10, 20])
def test_linear_refuses_grids_whose_betas_reach_one(T: int) -> None:
    with pytest.raises(ValueError, match="larger T"):
        LinearSchedule(T)
    LinearSchedule(21)


@pytest.mark.parametrize(
    "make",
    [
        LinearSchedule,
        CosineSchedule,
        GeometricSchedule,
        SigmoidSchedule,
        EDMSchedule,
        ZeroTerminalSchedule,
        LearnedSchedule,
        VarianceExplodingSchedule,
    ],
)
def test_a_grid_without_steps_is_refused(make: type[Schedule]) -> None:
    with pytest.raises(ValueError, match=r"T is 0"):
        make(0)


@each
def test_alpha_bar_reads_the_table_at_grid_times(schedule: Schedule) -> None:
    assert torch.equal(schedule.alpha_bar(grid(schedule)), schedule.table)


def test_level_keeps_the_variance_of_unit_data() -> None:
    at = LinearSchedule(1000).level(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert at.alpha.shape == (3, 1, 1, 1)
    # float32 rounding of two squares
    assert torch.allclose(at.alpha**2 + at.sigma**2, torch.ones(3, 1, 1, 1), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 7, 50, 1000])
def test_times_fall_from_one_to_zero_along_the_grid(steps: int) -> None:
    times = LinearSchedule(1000).times(steps)
    assert len(times) == steps + 1
    assert float(times[0]) == 1.0
    assert float(times[-1]) == 0.0
    assert bool((times.diff() < 0).all())
    assert torch.equal(torch.round(times * 1000) / 1000, times)


def test_more_steps_than_the_grid_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sampler.steps is 101.*schedule.T=100"):
        LinearSchedule(100).times(101)


def test_the_cosine_table_follows_its_formula_where_no_beta_is_clipped() -> None:
    table, s = CosineSchedule(100).table, 0.008
    f = [math.cos((k / 100 + s) / (1 + s) * math.pi / 2) ** 2 for k in range(99)]
    # A product of 98 ratios in float64
    assert table[:99].tolist() == pytest.approx([value / f[0] for value in f], rel=1e-12)


@each
def test_nearest_inverts_log_snr_on_the_grid(schedule: Schedule) -> None:
    t = grid(schedule)[1:]
    assert torch.equal(schedule.nearest(schedule.log_snr(t)), t)


@each
def test_nearest_is_the_time_of_least_distance(schedule: Schedule) -> None:
    t = grid(schedule)[1:]
    wanted = torch.empty(500, dtype=torch.float64).uniform_(-25, 25)
    distances = (schedule.log_snr(t) - wanted[:, None]).abs()
    assert torch.equal(schedule.nearest(wanted), t[distances.argmin(dim=1)])


def test_log_snr_is_the_ratio_of_signal_to_noise_and_infinite_for_data() -> None:
    schedule = CosineSchedule(1000)
    t = grid(schedule)
    at = schedule.level(t[1:])
    # The level is float32: seven digits of each, less where alpha is near 1.
    ratio = 2 * (at.alpha.double().log() - at.sigma.double().log()).flatten()
    assert torch.allclose(schedule.log_snr(t)[1:], ratio, rtol=0, atol=1e-5)
    assert float(schedule.log_snr(t)[0]) == math.inf


@pytest.mark.parametrize("base", [LinearSchedule, CosineSchedule, GeometricSchedule])
def test_a_zero_terminal_schedule_keeps_its_first_step_and_ends_in_pure_noise(base: type[Schedule]) -> None:
    before, after = base(1000), ZeroTerminalSchedule(1000, base)
    assert float(after.table[1]) == pytest.approx(float(before.table[1]), rel=1e-14)  # a few roundings
    assert float(after.table[-1]) == 0.0
    last = after.level(torch.ones(1, dtype=torch.float64))
    assert (float(last.alpha), float(last.sigma)) == (0.0, 1.0)
    assert float(betas(after)[-1]) == 1.0


@pytest.mark.parametrize("base", [LinearSchedule, CosineSchedule, SigmoidSchedule])
def test_the_zero_terminal_rescale_equals_that_of_diffusers(base: type[Schedule]) -> None:
    ddim = pytest.importorskip("diffusers.schedulers.scheduling_ddim")
    theirs = ddim.rescale_zero_terminal_snr(betas(base(1000)))
    # Their square roots come from other products of 1,000 float64 factors than ours.
    assert torch.allclose(betas(ZeroTerminalSchedule(1000, base)), theirs, rtol=1e-9, atol=1e-12)


def test_a_zero_terminal_schedule_needs_two_steps_and_betas_to_rescale() -> None:
    with pytest.raises(ValueError, match=r"schedule.T is 1.*at least 2"):
        ZeroTerminalSchedule(1, CosineSchedule)
    with pytest.raises(
        ValueError, match=r"schedule.base makes a LearnedSchedule; it must be a schedule given by betas"
    ):
        ZeroTerminalSchedule(10, LearnedSchedule)


def test_edm_has_the_noise_of_its_paper() -> None:
    """Eq. 5, step T - i at index i."""
    schedule = EDMSchedule(1000)
    sigma = (1 / schedule.table[1:] - 1).sqrt().flip(0)
    expected = [(80 ** (1 / 7) + i / 999 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(1000)]
    # At sigma = 0.002 1 - alpha_bar is 4e-6, so that float64 leaves ten digits of it.
    assert sigma.tolist() == pytest.approx(expected, rel=1e-9)
    assert float(sigma[0]) == pytest.approx(80.0, rel=1e-9)
    assert float(sigma[-1]) == pytest.approx(0.002, rel=1e-9)
    assert torch.allclose(schedule.log_snr(grid(schedule)[1:]), -2 * sigma.flip(0).log(), rtol=1e-9)


@pytest.mark.parametrize("ends", [(0.0, 80.0, 7.0), (80.0, 0.002, 7.0), (0.002, 80.0, 0.0)])
def test_edm_refuses_noise_that_does_not_rise(ends: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"schedule.sigma_min=.*must be above 0"):
        EDMSchedule(1000, *ends)


def test_the_exploding_process_has_noise_in_geometric_progression() -> None:
    sigma = (1 / VarianceExplodingSchedule(1000, 0.01, 50.0).table[1:] - 1).sqrt()
    expected = [0.01 * 5000 ** (k / 999) for k in range(1000)]
    assert sigma.tolist() == pytest.approx(expected, rel=1e-9)  # ten digits of 1 - alpha_bar = 1e-4


@pytest.mark.parametrize("ends", [(0.0, 100.0), (100.0, 0.01), (0.01, math.inf)])
def test_the_exploding_process_refuses_noise_that_does_not_rise(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"schedule.sigma_min=.*must be above 0 and below sigma_max"):
        VarianceExplodingSchedule(1000, *ends)
