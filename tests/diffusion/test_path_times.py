"""Training times of straight paths: their distributions, and how evenly a batch covers them."""

import pytest
import torch
from scipy import stats

from genbench.diffusion.path_times import LogitNormal, StratifiedPathTimes

CPU = torch.device("cpu")


def test_stratified_times_are_uniform_and_leave_no_gap() -> None:
    torch.manual_seed(0)
    t = StratifiedPathTimes().draw(20_000, CPU)
    assert stats.kstest(t.numpy(), stats.uniform.cdf).pvalue > 1e-6
    assert float(t.sort().values.diff().max()) == pytest.approx(1 / 20_000, rel=1e-6)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.0, 0.5)])
def test_logits_of_logit_normal_times_are_normal(mean: float, std: float) -> None:
    torch.manual_seed(0)
    t = LogitNormal(mean, std).draw(20_000, CPU)
    # A false alarm under 1e-6, with a fixed seed
    assert stats.kstest(torch.logit(t).numpy(), stats.norm(mean, std).cdf).pvalue > 1e-6


def test_a_standard_deviation_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"times.std is 0.0; it must be above 0"):
        LogitNormal(std=0.0)
