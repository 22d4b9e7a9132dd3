"""Rules of samples: their shape, the random numbers that they follow from, and labels."""

import torch

from genbench.contract.candidate import Candidate, NotApplicable, expect, expect_samples

__all__ = [
    "labels_change_the_samples_of_a_conditional_model",
    "samples_have_the_shape_and_follow_the_rng",
    "samples_in_inference_mode_are_the_same_and_a_training_goes_on",
    "sampling_leaves_the_default_generator_alone",
    "the_state_comes_back_with_identical_samples",
]


def samples_have_the_shape_and_follow_the_rng(candidate: Candidate) -> None:
    """sample(n, y, rng=..) returns (n, C, H, W) in float32 without gradient, the same images for the same rng
    whatever was drawn before, and others for another rng."""
    model, (_, y) = candidate.sampler(), candidate.batch(5)
    first = model.sample(5, y, rng=torch.Generator().manual_seed(1))
    expect(first.shape == (5, *model.shape), f"samples of shape {(5, *model.shape)}", tuple(first.shape))
    expect(first.dtype == torch.float32, "samples in float32", first.dtype)
    expect(not first.requires_grad, "samples without gradient", "some that require it (use torch.no_grad)")
    torch.rand(100)  # the default generator must not matter
    again = model.sample(5, y, rng=torch.Generator().manual_seed(1))
    expect(torch.equal(again, first), "the same images from an rng of the same seed", "other images")
    other = model.sample(5, y, rng=torch.Generator().manual_seed(2))
    expect(not torch.equal(other, first), "other images from an rng of another seed", "the same images")


def sampling_leaves_the_default_generator_alone(candidate: Candidate) -> None:
    """sample draws from the rng that it is given alone: torch's default generator is afterwards as before."""
    model, (_, y) = candidate.sampler(), candidate.batch(2)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    model.sample(2, y, rng=torch.Generator().manual_seed(0))
    same = torch.equal(torch.random.get_rng_state(), before)
    expect(same, "the state of torch's default generator as it was", "another one: pass rng to each draw")


def the_state_comes_back_with_identical_samples(candidate: Candidate) -> None:
    """A fresh model with the state_dict of a trained one draws its samples bit for bit: all that training
    sets is a parameter or a buffer."""
    model, twin, (_, y) = candidate.sampler(), candidate.fresh(), candidate.batch(3)
    twin.load_state_dict(model.state_dict())
    found = twin.eval().sample(3, y, rng=torch.Generator().manual_seed(0))
    expect_samples(model, found, y, "the samples of the model whose state was loaded")


def samples_in_inference_mode_are_the_same_and_a_training_goes_on(candidate: Candidate) -> None:
    """sample in torch's inference mode draws the same images bit for bit, and keeps no tensor of it that a
    later training step cannot take; of a model whose `samples_without_gradients()` is True."""
    model, untrained, (x, y) = candidate.sampler(), candidate.fresh().eval(), candidate.batch(3)
    if not model.samples_without_gradients():
        raise NotApplicable("the model is not sampled in torch's inference mode")
    with torch.inference_mode():
        found = model.sample(3, y, rng=torch.Generator().manual_seed(0))
        untrained.sample(3, y, rng=torch.Generator().manual_seed(0))
    expect_samples(candidate.sampler(), found.clone(), y, "the samples outside of inference mode")
    untrained.train()
    for phase in dict.fromkeys(untrained.phases):
        untrained.loss(x, y, phase=phase).total.backward()


def labels_change_the_samples_of_a_conditional_model(candidate: Candidate) -> None:
    """A conditional model draws other images for another label, from an rng of the same seed, after three
    steps of training."""
    model = candidate.sampler()
    if model.num_classes == 0:
        raise NotApplicable("the model has no labels")
    found = [
        model.sample(2, torch.full((2,), label), rng=torch.Generator().manual_seed(0)) for label in (0, 1)
    ]
    expect(not torch.equal(*found), "other images for label 1 than for label 0", "the same images")
