"""Laws of tokens: normalised, as other implementations have them, and what is drawn follows them."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw, softmax_log_prob
from genbench.data import to_float

BYTES = torch.arange(256, dtype=torch.uint8)
LAWS = [Categorical(), LogisticMixture(1), LogisticMixture(5)]


def answers(n: int, law: PixelLaw, channels: int = 1, size: float = 2.0) -> Tensor:
    return size * torch.randn(n, law.outputs(channels), generator=torch.Generator().manual_seed(0))


def all_tokens(law: PixelLaw, answer: Tensor, channels: int = 1) -> Tensor:
    """p of every token of so many channels, given one answer (P,): (256,) * channels, float64."""
    levels = to_float(BYTES)
    tokens = torch.cartesian_prod(*[levels] * channels).view(-1, 1, channels)
    log_prob = law.log_prob(answer.expand(len(tokens), 1, -1), tokens)
    return log_prob.double().exp().view([256] * channels)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_the_levels_are_the_bytes(law: PixelLaw) -> None:
    assert torch.equal(law.to_value(BYTES.long()), to_float(BYTES))
    assert torch.equal(law.to_level(to_float(BYTES)), BYTES.long())
    assert law.to_level(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_the_256_levels_sum_to_one(law: PixelLaw) -> None:
    for answer in answers(6, law):
        assert float(all_tokens(law, answer).sum()) == pytest.approx(1, abs=2e-5)  # float32 logs of buckets


def test_two_coupled_channels_sum_to_one_over_all_pairs() -> None:
    law = LogisticMixture(3)
    for answer in answers(2, law, channels=2):
        assert float(all_tokens(law, answer, 2).sum()) == pytest.approx(1, abs=2e-5)


def test_a_mixture_of_one_channel_is_scipys() -> None:
    components, law = 3, LogisticMixture(3)
    for answer in answers(4, law).double().numpy():
        logits, mu, log_scale = answer.reshape(3, components)
        pi, mu = np.exp(logits) / np.exp(logits).sum(), mu + np.array([-2, 0, 2]) / components
        x = np.arange(256)[:, None] / 127.5 - 1
        cdf = scipy.stats.logistic(mu, np.exp(log_scale) / components).cdf
        upper, lower = cdf(x + 1 / 255), cdf(x - 1 / 255)
        upper[-1], lower[0] = 1, 0
        # float64 differences of the distribution function keep 1e-16, float32 logs 1e-5 of what is above.
        expected = ((upper - lower) * pi).sum(1)
        found = all_tokens(law, torch.tensor(answer, dtype=torch.float32)).numpy()
        assert np.allclose(found, expected, rtol=1e-3, atol=1e-7)


def test_each_channel_is_moved_by_those_before_it_alone() -> None:
    """mu_1 + a_10 x_0, and mu_2 + a_20 x_0 + a_21 x_1, Salimans et al. 2017, Section 2.2."""
    law, x = LogisticMixture(1), to_float(torch.tensor([153, 51, 179], dtype=torch.uint8))
    raw = torch.tensor([0.0, 0.1, -0.2, 0.3, -2.0, -2.0, -2.0, 0.5, -1.0, 2.0])
    a = torch.tanh(raw[7:])
    mu = torch.stack([raw[1], raw[2] + a[0] * x[0], raw[3] + a[1] * x[0] + a[2] * x[1]])
    alone = torch.stack([torch.zeros(3), mu, raw[4:7]], dim=1)  # an answer for each channel by itself
    expected = float(law.log_prob(alone[:, None], x.view(3, 1, 1)).sum())
    assert float(law.log_prob(raw.view(1, 1, -1), x.view(1, 1, 3))) == pytest.approx(expected, rel=1e-5)


def test_a_mixture_of_coloured_pixels_is_the_published_formula() -> None:
    """Salimans et al. 2017, Eq. 2 and 3, in numpy: mu_g(r) = mu_g + a r, mu_b(r, g) = mu_b + b r + c g."""
    k, law = 3, LogisticMixture(3)
    levels = torch.randint(256, (20, 3), generator=torch.Generator().manual_seed(1))
    levels[:2], levels[2:4, 0] = torch.tensor([[0, 255, 128], [255, 0, 0]]), torch.tensor([0, 255])
    for answer in answers(3, law, channels=3).double().numpy():
        logits, means = answer[:k], answer[k : 4 * k].reshape(k, 3) + np.array([[-2], [0], [2]]) / k
        scales = np.exp(answer[4 * k : 7 * k].reshape(k, 3)) / k
        a, b, c = np.tanh(answer[7 * k :].reshape(k, 3)).T
        for level in levels.numpy():
            red, green, blue = level / 127.5 - 1
            mu = np.stack([means[:, 0], means[:, 1] + a * red, means[:, 2] + b * red + c * green], axis=1)
            upper = np.where(level == 255, np.inf, np.array([red, green, blue]) + 1 / 255)
            lower = np.where(level == 0, -np.inf, np.array([red, green, blue]) - 1 / 255)
            sigmoids = (scipy.special.expit((edge - mu) / scales) for edge in (upper, lower))
            each = np.subtract(*sigmoids).prod(1)
            expected = math.log((scipy.special.softmax(logits) * each).sum())
            x = torch.tensor(level / 127.5 - 1, dtype=torch.float32).view(1, 1, 3)
            found = law.log_prob(torch.tensor(answer, dtype=torch.float32).view(1, 1, -1), x)
            assert float(found) == pytest.approx(expected, abs=2e-3)


def test_a_softmax_over_levels_is_scipys_whatever_the_layout_of_the_answers() -> None:
    rng = torch.Generator().manual_seed(6)
    plain = 3 * torch.randn(4, 5, 256, generator=rng)
    level = torch.randint(256, (4, 5), generator=rng)
    wanted = scipy.special.log_softmax(plain.double().numpy(), axis=2)
    wanted = np.take_along_axis(wanted, level.numpy()[..., None], 2)[..., 0].sum(1)
    for output in (plain, plain.transpose(1, 2).contiguous().transpose(1, 2), plain.bfloat16()):
        rounding = 5 * 2.0**-8 * float(plain.abs().max()) * 2 if output.dtype == torch.bfloat16 else 1e-4
        assert softmax_log_prob(output, level).numpy() == pytest.approx(wanted, abs=rounding)


def test_a_softmax_that_knows_nothing_costs_eight_bits_and_a_new_mixture_hardly_more() -> None:
    def bits(law: PixelLaw) -> float:
        return float(-all_tokens(law, torch.zeros(law.outputs(1))).log2().mean())

    assert bits(Categorical()) == pytest.approx(8, abs=1e-5)
    assert bits(Categorical(256)) == pytest.approx(math.log2(256), abs=1e-5)
    assert 8 < bits(LogisticMixture(5)) < 8.2


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_what_is_drawn_follows_the_law(law: PixelLaw) -> None:
    n, rng = 30_000, torch.Generator().manual_seed(1)
    for answer in answers(2, law, size=0.5):
        p = all_tokens(law, answer).numpy()
        drawn = law.to_level(law.sample(answer.expand(n, -1), rng=rng)).flatten().bincount(minlength=256)
        common = p * n > 20
        observed = np.append(drawn.numpy()[common], drawn.numpy()[~common].sum())
        expected = np.append(p[common], p[~common].sum()) * n + 1e-9
        statistic = ((observed - expected) ** 2 / expected).sum()
        assert scipy.stats.chi2.sf(statistic, common.sum()) > 1e-6


def test_pairs_that_are_drawn_follow_the_coupled_law() -> None:
    law, n = LogisticMixture(3), 100_000
    for answer in answers(3, law, channels=2, size=1.0):
        p = all_tokens(law, answer, 2)
        drawn = law.to_level(law.sample(answer.expand(n, -1), rng=torch.Generator().manual_seed(1)))
        for first, second in ((64, 64), (100, 180), (200, 120)):
            exact = float(p[:first, :second].sum())
            share = float(((drawn[:, 0] < first) & (drawn[:, 1] < second)).double().mean())
            # Five deviations of a share of n draws: a false alarm in under 1e-6 of them.
            assert abs(share - exact) < 5 * math.sqrt(exact * (1 - exact) / n) + 1e-5


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_values_and_gradients_are_finite_for_extreme_answers(law: PixelLaw) -> None:
    channels = 3 if law.whole_pixels else 1
    answer = answers(64, law, channels, size=10.0)[None].requires_grad_()
    tokens = to_float(torch.randint(256, (1, 64, channels), dtype=torch.uint8))
    log_prob = law.log_prob(answer, tokens)
    log_prob.sum().backward()
    assert bool(log_prob.isfinite().all())
    assert answer.grad is not None
    assert bool(answer.grad.isfinite().all())
    assert bool(law.sample(answer[0].detach()).isfinite().all())


def test_laws_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pixel_law.levels is 1"):
        Categorical(1)
    with pytest.raises(ValueError, match=r"pixel_law.components is 0"):
        LogisticMixture(0)
