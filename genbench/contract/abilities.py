"""Rules of models that can do more than train and sample: likelihoods, latents, trajectories, noising."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from genbench.contract.candidate import (
    BATCH,
    Candidate,
    NotApplicable,
    expect,
    expect_samples,
    train_a_little,
)
from genbench.generator import (
    Decodes,
    FitsAfterTraining,
    ForwardProcess,
    Latent,
    Likelihood,
    Noising,
    Trajectory,
    Y,
)

__all__ = [
    "forward_processes_start_from_the_data",
    "latents_have_their_shape_and_decode_to_images",
    "likelihoods_are_finite_and_name_their_bound",
    "numbers_fitted_after_training_are_finite_and_leave_the_parameters",
    "samples_are_the_decoded_prior",
    "shares_of_data_are_those_of_the_noised_states",
    "trajectories_end_in_the_samples",
    "twice_the_steps_draw_the_same_as_once",
]


def likelihoods_are_finite_and_name_their_bound(candidate: Candidate) -> None:
    """log_prob returns one finite number for each image, and `bound` (exact, lower or estimate) and `method`
    say which; of a model with a Likelihood."""
    model, (x, y) = train_a_little(candidate.fresh()).eval(), candidate.batch()
    if not isinstance(model, Likelihood):
        raise NotApplicable("no likelihood")
    bound = getattr(model, "bound", None)
    expect(bound in ("exact", "lower", "estimate"), "a bound: exact, lower or estimate", repr(bound))
    expect(bool(getattr(model, "method", "")), "a method, a short text for tables", "none")
    with torch.no_grad():
        log_prob = model.log_prob(x, y)
    expect(log_prob.shape == (BATCH,), f"log_prob of shape {(BATCH,)}", tuple(log_prob.shape))
    expect(bool(log_prob.isfinite().all()), "finite values of log_prob", log_prob.tolist())


def twice_the_steps_draw_the_same_as_once(candidate: Candidate) -> None:
    """refined_log_prob draws what log_prob does, and differs from it by the error of the steps alone, which
    is above 0 and below a quarter of the difference that other draws make; of a `discretized` Likelihood."""
    model, (x, y) = train_a_little(candidate.fresh()).eval(), candidate.batch()
    if not isinstance(model, Likelihood) or not model.discretized:
        raise NotApplicable("no likelihood that is integrated in steps")
    found = []
    with torch.no_grad():
        for log_prob in (model.log_prob, model.refined_log_prob, model.log_prob):
            torch.manual_seed(0)
            found.append(log_prob(x, y))
        torch.manual_seed(1)
        other = model.log_prob(x, y)
    expect(torch.equal(found[0], found[2]), "the same log_prob from the same seed", "another")
    # Other draws of noise would move log p of these images by several nats.
    error, noise = float((found[0] - found[1]).abs().max()), float((found[0] - other).abs().max())
    expect(0 < error < noise / 4, f"an error above 0 and below {noise / 4:.4g} nats", f"{error:.4g}")


def numbers_fitted_after_training_are_finite_and_leave_the_parameters(candidate: Candidate) -> None:
    """fit reads all of its batches, also of one image, or none; what it sets is finite, and no parameter
    moves; of a model that FitsAfterTraining."""
    model = train_a_little(candidate.fresh()).eval()
    if not isinstance(model, FitsAfterTraining):
        raise NotApplicable("nothing is fitted after training")
    weights, sizes = copy.deepcopy(list(model.parameters())), list[int]()

    def batches(n: int) -> Iterator[tuple[Tensor, Y]]:
        for _ in range(5):
            sizes.append(n)
            yield candidate.batch(n)

    for n in (BATCH, 1):  # on fewer images than there are steps, in uneven batches
        model.fit(batches(n))
    expect(len(sizes) in (0, 10), "that fit reads all batches or none", f"{len(sizes)} of 10")
    odd = [name for name, value in model.state_dict().items() if not bool(value.isfinite().all())]
    expect(odd == [], "finite numbers", f"others in {', '.join(odd)}")
    same = all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    expect(same, "the parameters as they were", "others")


def samples_are_the_decoded_prior(candidate: Candidate) -> None:
    """sample(n, y, rng) is decode(prior(n, y, rng), y) bit for bit, and prior is (n, *latent_shape); of a
    model that Decodes."""
    model, (_, y) = candidate.sampler(), candidate.batch()
    if not isinstance(model, Decodes):
        raise NotApplicable("no latents")
    with torch.no_grad():
        z = model.prior(BATCH, y, rng=torch.Generator().manual_seed(0))
        wanted = (BATCH, *model.latent_shape)
        expect(z.shape == wanted, f"a prior of shape {wanted}", tuple(z.shape))
        decoded = model.decode(z, y)
    expect_samples(model, decoded, y, "a decoded prior that is the samples")


def latents_have_their_shape_and_decode_to_images(candidate: Candidate) -> None:
    """encode is (B, *latent_shape) and repeats itself, decode of it is (B, C, H, W), and where the model
    `inverts` it is the image again to half a grey level; of a model with Latent."""
    model, (x, y) = train_a_little(candidate.fresh()).eval(), candidate.batch()
    if not isinstance(model, Latent):
        raise NotApplicable("no way from images to latents")
    with torch.no_grad():
        z = model.encode(x, y)
        expect(torch.equal(model.encode(x, y), z), "the same latents from a second encode", "others")
        rebuilt = model.decode(z, y)
    wanted = (BATCH, *model.latent_shape)
    expect(z.shape == wanted, f"latents of shape {wanted}", tuple(z.shape))
    expect(rebuilt.shape == x.shape, f"decoded images of shape {tuple(x.shape)}", tuple(rebuilt.shape))
    if model.inverts:
        # Encoding takes bytes to the centres of their buckets; half a bucket is 1/255 of [-1, 1].
        error, most = float((rebuilt - x).abs().max()), 1 / 255 + 1e-4
        expect(error < most, f"reconstructions less than {most:.4f} from the image", f"{error:.4f}")


def trajectories_end_in_the_samples(candidate: Candidate) -> None:
    """trajectory(n, y, rng, frames) is (frames, n, C, H, W) for 2, 4 and 100 frames, and its last state is
    what sample draws from the same rng; of a model with Trajectory."""
    model, (_, y) = candidate.sampler(), candidate.batch()
    if not isinstance(model, Trajectory):
        raise NotApplicable("no trajectory")
    for frames in (2, 4, 100):
        states = model.trajectory(BATCH, y, rng=torch.Generator().manual_seed(0), frames=frames)
        wanted = (frames, BATCH, *model.shape)
        expect(states.shape == wanted, f"a trajectory of shape {wanted}", tuple(states.shape))
        expect_samples(model, states[-1], y, f"the samples as last of {frames} states")


def forward_processes_start_from_the_data(candidate: Candidate) -> None:
    """forward_process(x, rng, frames) is (frames, B, C, H, W) for 2, 4 and 100 frames, and its first state
    is x itself; of a model with ForwardProcess."""
    model, (x, _) = candidate.fresh(), candidate.batch()
    if not isinstance(model, ForwardProcess):
        raise NotApplicable("no forward process")
    for frames in (2, 4, 100):
        noised = model.forward_process(x, rng=torch.Generator().manual_seed(0), frames=frames)
        wanted = (frames, BATCH, *model.shape)
        expect(noised.shape == wanted, f"a forward process of shape {wanted}", tuple(noised.shape))
        expect(torch.equal(noised[0], x), f"x itself as the first of {frames} states", "other images")


def shares_of_data_are_those_of_the_noised_states(candidate: Candidate) -> None:
    """noise_levels gives times from 0 to 1 and a share of data that falls from 1, in float64, and the
    states of forward_process have that share at t = 0, 0.5 and 1, to 0.05; of a model with Noising."""
    model = candidate.fresh()
    if not isinstance(model, Noising):
        raise NotApplicable("no noise")
    t, left = model.noise_levels()
    expect(t.shape == left.shape, "as many shares as times", f"{tuple(left.shape)} and {tuple(t.shape)}")
    expect(t.dtype == left.dtype == torch.float64, "both in float64", f"{t.dtype} and {left.dtype}")
    ends = (float(t[0]), float(t[-1]), float(left[0]))
    expect(ends == (0, 1, 1), "the times from 0 to 1, and a first share of 1", ends)
    monotone = bool((t.diff() > 0).all() and (left.diff() < 0).all())
    expect(monotone, "times that rise and shares that fall", "others")
    if not isinstance(model, ForwardProcess):
        return
    ones = torch.ones(2048, *model.shape)
    states = model.forward_process(ones, rng=torch.Generator().manual_seed(0), frames=3).double()
    mean, variance = states.flatten(1).mean(1), states.flatten(1).var(1)
    bits = bool((states.abs() == 1).all())
    # 0 of states that are all the same, of which nothing is left
    seen = mean if bits else mean.square() / (mean.square() + variance).clamp(min=1e-12)
    places = [int((t - time).abs().argmin()) for time in (0, 0.5, 1)]
    # 2048 x 64 numbers: a standard error below 0.005, and ten of these
    wanted = f"shares near {left[places].tolist()}"
    expect(torch.allclose(seen, left[places], atol=0.05), wanted, seen.tolist())
