"""Times of training batches."""

import pytest
import torch

from genbench.diffusion.times import Stratified, Times, Uniform

CPU = torch.device("cpu")


@pytest.mark.parametrize("times", [Uniform(), Stratified()])
def test_every_step_of_the_grid_is_equally_likely(times: Times) -> None:
    torch.manual_seed(0)
    T, n, draws = 10, 7, 3000
    t = torch.cat([times(n, T, CPU) for _ in range(draws)])
    counts = torch.bincount(torch.round(t * T).long(), minlength=T + 1)
    assert int(counts[0]) == 0  # t = 0 is data
    # 2,100 expected a step; five standard deviations of independent draws (stratified ones vary less)
    assert bool(((counts[1:] - n * draws / T).abs() < 5 * (n * draws / T) ** 0.5).all())


def test_stratified_batches_cover_the_grid_evenly() -> None:
    torch.manual_seed(0)
    for _ in range(100):
        t = Stratified()(10, 1000, CPU).sort().values
        gaps = t.diff()
        assert float(gaps.min()) >= 0.099  # 0.1, up to one step of the grid
        assert float(gaps.max()) <= 0.101


@pytest.mark.parametrize("times", [Uniform(), Stratified()])
def test_times_lie_on_the_grid(times: Times) -> None:
    torch.manual_seed(0)
    t = times(1000, 50, CPU)
    assert t.dtype == torch.float64
    assert torch.equal(torch.round(t * 50) / 50, t)
