"""The codebook: nearest codes, straight-through gradient, moving averages, restarts."""

import pytest
import torch

from genbench.vaes.codebook import Codebook, perplexity


def book(size: int = 4, dimensions: int = 2, *, decay: float = 0.0, restart: float = 0.0) -> Codebook:
    torch.manual_seed(0)
    return Codebook(size, dimensions, decay=decay, restart=restart)


def at(codebook: Codebook, codes: list[list[float]]) -> Codebook:
    """A codebook whose codes are given, each as if one vector had been there."""
    codebook.codes.copy_(torch.tensor(codes))
    codebook.sums.copy_(codebook.codes)
    codebook.counts.fill_(1.0)
    return codebook


CORNERS = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]


def vectors(n: int = 64) -> torch.Tensor:
    """n / 4 vectors around each corner, as a map: (1, 2, 4, n / 4)."""
    rng = torch.Generator().manual_seed(1)
    noise = torch.randn(4, n // 4, 2, generator=rng)
    return (torch.tensor(CORNERS)[:, None] + noise).permute(2, 0, 1)[None]


def test_each_vector_becomes_its_nearest_code() -> None:
    codebook = at(book(), CORNERS).eval()
    z = vectors()
    q = codebook(z)
    expected = torch.cdist(z.movedim(1, -1).reshape(-1, 2), codebook.codes).argmin(1)
    assert torch.equal(q.index.flatten(), expected)
    assert torch.allclose(q.z, codebook.look_up(q.index), atol=1e-5)
    assert torch.allclose(q.commitment, (z - codebook.look_up(q.index)).square().mean())


def test_the_gradient_goes_straight_through() -> None:
    codebook = at(book(), CORNERS).eval()
    z = vectors().requires_grad_()
    weight = torch.randn(z.shape, generator=torch.Generator().manual_seed(2))
    (codebook(z).z * weight).sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, weight)


def test_without_memory_a_step_is_a_step_of_k_means() -> None:
    codebook, z = at(book(decay=0.0), [[1.0, 1.0], [9.0, 1.0], [1.0, 9.0], [9.0, 9.0]]), vectors()
    codebook.train()(z)
    assert torch.allclose(codebook.codes, z[0].mean(2).T, atol=1e-5)


def test_with_memory_codes_are_the_averages_in_closed_form() -> None:
    codebook, z = at(book(decay=0.9), CORNERS).train(), vectors()
    for _ in range(3):
        codebook(z)
    n, total = 16.0, z[0].sum(2).T  # every step sees the same 16 vectors near each code
    share = 0.9**3
    expected = (share * torch.tensor(CORNERS) + (1 - share) * total) / (share + (1 - share) * n)
    assert torch.allclose(codebook.codes, expected, atol=1e-4)


def test_dead_codes_start_anew_as_vectors_of_the_batch() -> None:
    codebook = at(book(decay=0.5, restart=1.0), [*CORNERS[:3], [1e4, 1e4]]).train()
    z = vectors()
    codebook(z)  # halves the count of the code that no vector is near
    codebook(z)
    distance = torch.cdist(codebook.codes[3:], z.movedim(1, -1).reshape(-1, 2)).min()
    assert float(distance) < 0.02  # cdist keeps 0.005 here


def test_a_fresh_codebook_takes_its_codes_from_the_first_batch() -> None:
    codebook, z = book(restart=0.1, decay=0.99).train(), vectors()
    codebook(z)
    assert (
        float(torch.cdist(codebook.codes, z.movedim(1, -1).reshape(-1, 2)).min(1).values.max()) < 0.02
    )  # cdist keeps 0.005


def test_looking_changes_nothing_unless_it_trains() -> None:
    codebook = at(book(), CORNERS)
    before = {name: value.clone() for name, value in codebook.state_dict().items()}
    codebook.eval()(vectors() + 3)
    with torch.no_grad():
        codebook.train()(vectors() + 3)
    assert all(torch.equal(value, before[name]) for name, value in codebook.state_dict().items())


def test_all_state_is_in_buffers() -> None:
    codebook, twin = book(decay=0.9, restart=0.1).train(), book(decay=0.9, restart=0.1).train()
    codebook(vectors())
    twin.load_state_dict(codebook.state_dict())
    for each in (codebook, twin):
        torch.manual_seed(3)
        each(vectors() + 1)
    assert torch.equal(codebook.codes, twin.codes)
    assert list(codebook.parameters()) == []


def test_perplexity_lies_between_one_and_the_size() -> None:
    assert float(perplexity(torch.zeros(3, 4, dtype=torch.int64), 8)) == pytest.approx(1)
    assert float(perplexity(torch.arange(8), 8)) == pytest.approx(8)
    index = torch.randint(8, (100,), generator=torch.Generator().manual_seed(0))
    assert 1 < float(perplexity(index, 8)) < 8


def test_bad_settings_are_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match="size is 0"):
        Codebook(0, 2)
    with pytest.raises(ValueError, match="decay is 1"):
        Codebook(2, 2, decay=1.0)
