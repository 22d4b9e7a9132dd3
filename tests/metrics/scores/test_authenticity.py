"""Authenticity: the share of samples that are no copies of training images."""

import torch

from genbench.metrics import (
    Authenticity,
    nearest_features,
)
from genbench.metrics.scores.authenticity import authentic
from tests.metrics.sets import correlated, drawn_of, reference_of

TRAIN, TEST = correlated(300, 6, 0), correlated(120, 6, 1)
REFERENCES = [reference_of(TRAIN), reference_of(TEST, "test")]


def test_authenticity_worked_out_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [5.0]])  # nearest others at 1, 1 and 4
    fake = torch.tensor([[0.4], [2.5], [8.0], [10.0], [5.0]])
    # 0.4 from 0, 1.5 from 1, 3 from 5, 5 from 5, 0 from 5
    assert authentic(real, fake).tolist() == [False, True, False, True, False]


def test_authenticity_equals_a_search_over_all_pairs() -> None:
    real, fake = TRAIN, correlated(700, 6, 5)
    among = torch.cdist(real, real).fill_diagonal_(torch.inf).min(1).values
    distances, index = torch.cdist(fake, real).min(1)
    assert torch.equal(authentic(real, fake), distances > among[index])
    assert torch.equal(nearest_features(real, fake)[1], index)


def test_copies_have_no_authenticity_even_with_small_changes_and_strangers_have_all() -> None:
    noise = 1e-3 * correlated(300, 6, 6)
    shares = [
        next(iter(Authenticity().compute(drawn_of(x), REFERENCES).values()))
        for x in (TRAIN, TRAIN + noise, TRAIN + 100)
    ]
    assert shares == [0.0, 0.0, 1.0]
