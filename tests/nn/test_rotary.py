"""Rotations by places of a grid, and the vectors that are added to tokens."""

import pytest
import torch

from genbench.nn.rotary import grid, position_vectors, rotate, rotations


def test_a_grid_has_its_places_row_after_row() -> None:
    assert grid(2, 3).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert grid(1, 1).tolist() == [[0, 0]]


def logits(places: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
    rotation = rotations(places, q.shape[-1])
    return rotate(q, rotation) @ rotate(k, rotation).transpose(-1, -2)


def test_logits_depend_on_differences_of_places_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 3, 12, 8, generator=rng, dtype=torch.float64)
    places = grid(3, 4).double()
    found = logits(places, q, k)
    torch.testing.assert_close(logits(places + torch.tensor([5.0, -2.0]), q, k), found)
    for axis in range(2):  # not by ignoring them
        moved = places.clone()
        moved[0, axis] += 1
        assert not torch.allclose(logits(moved, q, k), found, atol=1e-3)


def test_a_rotation_keeps_lengths_and_the_first_place_is_unmoved() -> None:
    x = torch.randn(2, 3, 12, 8, generator=torch.Generator().manual_seed(0))
    rotated = rotate(x, rotations(grid(3, 4), 8))
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(rotated[:, :, 0], x[:, :, 0])


def test_along_one_axis_the_rotation_is_that_of_transformers() -> None:
    """Rows alone: the first half of a head's pairs is the rotary embedding of a text of as many channels."""
    llama = pytest.importorskip("transformers.models.llama.modeling_llama")
    config = llama.LlamaConfig(
        hidden_size=8,
        num_attention_heads=1,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
    )
    cos, sin = llama.LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(5)[None])
    rotation = rotations(torch.stack([torch.arange(5.0), torch.zeros(5)], dim=1), 16)
    torch.testing.assert_close(rotation[:, :, :4], torch.stack([cos[0, :, :4], sin[0, :, :4]]))
    assert torch.equal(rotation[:, :, 4:], torch.stack([torch.ones(5, 4), torch.zeros(5, 4)]))
    q, k = torch.randn(2, 1, 2, 5, 16, generator=torch.Generator().manual_seed(0))
    whole = torch.cat([rotation, rotation], dim=2)  # theirs repeats angles for both numbers of a pair
    theirs = llama.apply_rotary_pos_emb(q, k, whole[:1], whole[1:])
    torch.testing.assert_close((rotate(q, rotation), rotate(k, rotation)), theirs)


def test_position_vectors_are_those_of_diffusers_and_differ_from_place_to_place() -> None:
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    found = position_vectors(grid(3, 3), 16)
    theirs = embeddings.get_2d_sincos_pos_embed(16, 3, base_size=3, output_type="pt").float()
    columns_first = torch.cat([theirs[:, 8:], theirs[:, :8]], dim=1)
    torch.testing.assert_close(found, columns_first, atol=1e-5, rtol=0)
    assert float((torch.cdist(found, found) + 10 * torch.eye(9)).min()) > 0.5
