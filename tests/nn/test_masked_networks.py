"""Networks of masked models: what is masked has no influence, and all that is not has."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genbench.autoregressive.network import MaskedNetwork
from genbench.autoregressive.pixel_law import Categorical, LogisticMixture, PixelLaw
from genbench.nn.image_gpt import MaskedTransformer
from genbench.nn.masked_unet import MaskedUNet
from tests.autoregressive.laws import images, palette

Make = Callable[[PixelLaw, int], MaskedNetwork]
SHAPE = (3, 4, 4)
LAWS = (Categorical(5), LogisticMixture(2), palette(SHAPE))


def transformer(law: PixelLaw, classes: int = 0) -> MaskedNetwork:
    return shaken(MaskedTransformer(SHAPE, classes, law=law, width=12, blocks=2, heads=3))


def unet(law: PixelLaw, classes: int = 0) -> MaskedNetwork:
    return shaken(MaskedUNet(SHAPE, classes, law=law, width=8, multipliers=[1, 1]))


def shaken(network: MaskedNetwork) -> MaskedNetwork:
    """With noise on every weight, so that no answer is 0."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return network.eval()


def masks(network: MaskedNetwork) -> Tensor:
    return torch.rand(2, network.length, generator=torch.Generator().manual_seed(1)) < 0.5


@pytest.mark.parametrize("make", [transformer, unet])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@torch.no_grad()
def test_what_is_masked_has_no_influence_and_each_other_token_has(make: Make, law: PixelLaw) -> None:
    network = make(law, 0)
    masked = masks(network)
    tokens = network.to_tokens(images(2, SHAPE, law))
    other = network.to_tokens(images(2, SHAPE, law, seed=2))

    def answers(tokens: Tensor) -> Tensor:
        return network(network.to_images(tokens), masked)

    hidden = torch.where(masked[..., None], other, tokens)
    assert torch.equal(answers(hidden), answers(tokens))
    for i in torch.nonzero(~masked[0])[:3, 0]:
        changed = tokens.clone()
        changed[0, i] = torch.where(tokens[0, i] == other[0, i], -other[0, i], other[0, i])
        assert not torch.equal(answers(changed)[0], answers(tokens)[0])
        assert torch.equal(answers(changed)[1], answers(tokens)[1])


@pytest.mark.parametrize("make", [transformer, unet])
@torch.no_grad()
def test_an_answer_depends_on_tokens_before_and_behind(make: Make) -> None:
    network, law = make(Categorical(5), 0), Categorical(5)
    tokens, masked = (
        network.to_tokens(images(1, SHAPE, law)),
        torch.zeros(1, network.length, dtype=torch.bool),
    )
    masked[0, 20] = True
    for i in (0, network.length - 1):
        changed = tokens.clone()
        changed[0, i] = -changed[0, i] + 0.5
        before, after = (network(network.to_images(t), masked)[0, 20] for t in (tokens, changed))
        assert not torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize("make", [transformer, unet])
@torch.no_grad()
def test_a_label_changes_the_answers_and_no_label_is_the_null_class(make: Make) -> None:
    network = make(Categorical(5), 2)
    x, masked = images(1, SHAPE, Categorical(5)), torch.ones(1, network.length, dtype=torch.bool)
    first, second, null = (network(x, masked, torch.tensor([y])) for y in (0, 1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(network(x, masked), null)


@torch.no_grad()
def test_a_transformer_takes_tokens_in_any_order_with_their_positions() -> None:
    """Without embeddings of positions the answers move with the tokens."""
    network = transformer(Categorical(5))
    assert isinstance(network, MaskedTransformer)
    for table in (network.row, network.column, network.channel):
        table.weight.zero_()
    tokens = network.to_tokens(images(2, SHAPE, Categorical(5)))
    masked, order = masks(network), torch.randperm(network.length, generator=torch.Generator().manual_seed(0))
    straight = network(network.to_images(tokens), masked)
    moved = network(network.to_images(tokens[:, order]), masked[:, order])
    assert torch.allclose(moved, straight[:, order], atol=1e-5)
