"""The small encoder: padding, the empty text, what a checkpoint carries, and what is refused."""

import pytest
import torch
import torch.nn.functional as F

from genbench.text.condition import Condition
from genbench.text.small import SmallEncoder

CAPTIONS = ["a seven above a three", "a four", "a seven, big"]
TEXTS = ["a seven above", "", "a"]


def small(seed: int = 0, **sizes: int) -> SmallEncoder:
    torch.manual_seed(seed)
    encoder = SmallEncoder(**({"width": 16, "layers": 2, "heads": 2, "words": 20, "length": 8} | sizes))
    encoder.learn_words(CAPTIONS)
    return encoder.eval()


def test_padding_changes_no_vector_whatever_it_holds() -> None:
    encoder = small()
    condition = encoder.condition(TEXTS)
    found = encoder(condition)
    for value, more in ((0, 2), (9, 5), (9, 50)):  # also beyond the longest text
        longer = Condition(F.pad(condition.tokens, (0, more), value=value), F.pad(condition.mask, (0, more)))
        padded = encoder(longer)
        assert torch.allclose(padded.pooled, found.pooled, atol=1e-5)
        assert torch.allclose(padded.empty.pooled, found.empty.pooled, atol=1e-5)
        stands = found.mask
        assert torch.allclose(padded.hidden[:, : stands.shape[1]][stands], found.hidden[stands], atol=1e-5)
        assert not bool(padded.mask[:, stands.shape[1] :].any())


def test_a_text_is_encoded_alike_beside_any_others() -> None:
    encoder = small()
    together, alone = encoder(encoder.condition(TEXTS)), encoder(encoder.condition(TEXTS[:1]))
    assert torch.allclose(together.pooled[0], alone.pooled[0], atol=1e-5)


def test_the_empty_text_is_the_null_condition_and_has_a_vector() -> None:
    encoder = small()
    condition = encoder.condition(["", "a"])
    assert not bool(condition.mask[0].any())
    found = encoder(condition)
    assert found.mask[0].tolist() == [True, False]
    assert torch.allclose(found.pooled[0], found.empty.pooled[0], atol=1e-5)
    assert torch.allclose(found.null().pooled, found.pooled[:1].expand(2, 16), atol=1e-5)
    nothing = encoder(encoder.condition([""]))  # tokens (1, 0)
    assert torch.allclose(nothing.pooled[0], found.pooled[0], atol=1e-5)


def test_order_matters() -> None:
    encoder = small()
    found = encoder(encoder.condition(["a seven above a three", "a three above a seven"])).pooled
    assert not torch.allclose(found[0], found[1], atol=1e-3)


def test_gradient_reaches_words_positions_and_the_start_of_the_empty_text() -> None:
    encoder = small().train()
    found = encoder(encoder.condition(TEXTS))
    found.null().pooled.sum().backward()
    assert encoder.start.grad is not None
    assert encoder.embedding.weight.grad is None or not bool(encoder.embedding.weight.grad.any())
    encoder(encoder.condition(TEXTS)).hidden.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def test_a_checkpoint_alone_reads_prompts() -> None:
    encoder, other = small(), SmallEncoder(width=16, layers=2, heads=2, words=20, length=8)
    assert other.unknown("a seven") == ["a", "seven"]
    other.load_state_dict(encoder.state_dict())
    assert other.unknown("a seven under a Seven") == ["under"]
    assert torch.equal(other.condition(TEXTS).tokens, encoder.condition(TEXTS).tokens)
    assert torch.equal(other.eval()(other.condition(TEXTS)).pooled, encoder(encoder.condition(TEXTS)).pooled)


def test_a_word_of_another_text_is_spelled_and_never_refused() -> None:
    condition = small().condition(["a zoo"])
    assert condition.mask.sum() == 5  # a, z, o, o, and the end of the word


def test_too_long_a_text_is_refused_with_both_numbers_and_the_remedy() -> None:
    encoder = small()
    with pytest.raises(ValueError, match=r'text "a a a .*" has 9 tokens, and.*at most 8.*text.length=9'):
        encoder.condition(["a", "a " * 9])
    with pytest.raises(ValueError, match=r'"a \\ zoologist" has .* tokens \(2 words, such as .*each byte'):
        encoder.condition(["a \\ zoologist"])
    with pytest.raises(ValueError, match=r"tokens \(the word zoologist is not in the vocabulary of"):
        encoder.condition(["a zoologist"])
    long = Condition(torch.ones(1, 9, dtype=torch.int64), torch.ones(1, 9, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"9 tokens.*at most 8"):
        encoder(long)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"heads": 3}, r"text.heads is 3; it must divide text.width=16: choose from 1, 2, 4, 8, 16"),
        ({"width": 0}, "text.width is 0"),
        ({"layers": 0}, "text.layers is 0"),
        ({"words": 0}, "text.words is 0"),
        ({"length": 0}, "text.length is 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**sizes)
