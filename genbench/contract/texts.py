"""Rules of models that take text: which texts they refuse, and what texts change."""

from functools import partial

import torch
import torch.nn.functional as F

from genbench.contract.candidate import Candidate, NotApplicable, expect, expect_refusal
from genbench.contract.refusals import uses
from genbench.generator import Condition, Generator

__all__ = [
    "padding_of_texts_changes_nothing",
    "texts_change_the_samples_of_a_model_of_text",
    "wrong_texts_are_refused_with_the_remedy",
]

LONG = "w" * 5000
"""A text of more tokens than an encoder takes, however it splits it."""


def wrong_texts_are_refused_with_the_remedy(candidate: Candidate) -> None:
    """loss, sample, encode and decode of a model of text refuse labels and texts that are missing or too few,
    `condition` a text that is too long; other models refuse texts: call `check_labels(y, n)` first."""
    model, (x, _) = candidate.fresh(), candidate.batch(2)
    if not model.takes_text:
        texts = Condition(torch.ones(2, 1, dtype=torch.int64), torch.ones(2, 1, dtype=torch.bool))
        for name, call in uses(model, x, texts).items():
            expect_refusal(call, f"texts in {name} of a model that takes none", ["takes none"])
        return
    for given, y in {"no text": None, "labels": torch.zeros(2, dtype=torch.int64)}.items():
        for name, call in uses(model, x, y).items():
            expect_refusal(call, f"{given} in {name}", ["model.condition"])
    for name, call in uses(model, x, model.condition(["one"])).items():
        expect_refusal(call, f"1 text for 2 images in {name}", ["holds 1 texts"])
    expect_refusal(partial(model.condition, [LONG]), "a text that is too long", ["tokens", "at most"])


def texts_change_the_samples_of_a_model_of_text(candidate: Candidate) -> None:
    """A model of text draws other images for another text, and others for the empty one, from an rng of the
    same seed, after three steps of training."""
    model = of_text(candidate.sampler())
    found = [
        model.sample(2, model.condition([text] * 2), rng=torch.Generator().manual_seed(0))
        for text in ("one", "two", "")
    ]
    for k, (a, b) in {"'two' than for 'one'": (0, 1), "no text than for 'one'": (0, 2)}.items():
        expect(not torch.equal(found[a], found[b]), f"other images for {k}", "the same images")


def padding_of_texts_changes_nothing(candidate: Candidate) -> None:
    """Tokens under a mask of False, after the last that stands, change neither the loss nor the samples, but
    for rounding: nothing attends to padding, whatever it holds."""
    model, (x, y) = of_text(candidate.sampler()), candidate.batch()
    assert isinstance(y, Condition)
    longer = Condition(F.pad(y.tokens, (0, 3), value=1), F.pad(y.mask, (0, 3)))
    for phase in dict.fromkeys(model.phases):
        losses = []
        for each in (y, longer):
            torch.manual_seed(0)
            losses.append(float(model.loss(x, each, phase=phase).total.detach()))
        near = abs(losses[0] - losses[1]) <= 1e-5 * max(abs(losses[0]), 1)
        expect(near, f"a loss of {losses[0]:.7g} in phase {phase!r}", f"{losses[1]:.7g} with padding")
    first, second = (model.sample(len(x), each, rng=torch.Generator().manual_seed(0)) for each in (y, longer))
    apart = float((first - second).abs().max())
    expect(apart < 1e-3, "the same images to 0.001", f"images {apart:.3g} apart with padding")


def of_text(model: Generator) -> Generator:
    """Return the model, if it takes text; raises NotApplicable for any other."""
    if not model.takes_text:
        raise NotApplicable("the model takes no text")
    return model
