"""All rules in the order in which a family is checked, and the check of one of them."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from genbench.contract import abilities, bfloat16, fake_cuda, losses, refusals, samples, texts, trainings
from genbench.contract.candidate import Candidate, NotApplicable

__all__ = ["BFLOAT16", "FAKE_CUDA", "FLOAT32", "RULES", "Outcome", "Rule", "check", "sentence", "title"]

Rule = Callable[[Candidate], None]
"""Function that raises Broken where a family does not keep it, NotApplicable where it has no place."""

FLOAT32: tuple[Rule, ...] = (
    losses.each_phase_has_a_finite_scalar_float32_loss_with_detached_terms,
    losses.gradient_reaches_every_parameter_of_its_phase,
    losses.the_loss_of_each_phase_falls_on_a_tiny_set,
    losses.two_parts_of_a_batch_have_its_loss_and_its_gradients,
    trainings.an_accumulated_training_is_that_of_whole_batches,
    trainings.a_training_in_two_parts_equals_one_bit_for_bit,
    trainings.a_validation_is_finite_repeats_itself_and_changes_nothing,
    samples.samples_have_the_shape_and_follow_the_rng,
    samples.sampling_leaves_the_default_generator_alone,
    samples.samples_in_inference_mode_are_the_same_and_a_training_goes_on,
    samples.labels_change_the_samples_of_a_conditional_model,
    samples.the_state_comes_back_with_identical_samples,
    refusals.wrong_images_are_refused_with_the_shape_and_the_remedy,
    refusals.wrong_labels_are_refused_with_the_value_and_the_legal_set,
    refusals.an_unknown_phase_is_refused,
    texts.wrong_texts_are_refused_with_the_remedy,
    texts.texts_change_the_samples_of_a_model_of_text,
    texts.padding_of_texts_changes_nothing,
    abilities.likelihoods_are_finite_and_name_their_bound,
    abilities.twice_the_steps_draw_the_same_as_once,
    abilities.samples_are_the_decoded_prior,
    abilities.latents_have_their_shape_and_decode_to_images,
    abilities.trajectories_end_in_the_samples,
    abilities.forward_processes_start_from_the_data,
    abilities.shares_of_data_are_those_of_the_noised_states,
    abilities.numbers_fitted_after_training_are_finite_and_leave_the_parameters,
)
"""Rules of a model whose networks compute in float32, on the CPU."""
BFLOAT16: tuple[Rule, ...] = (
    bfloat16.losses_in_bfloat16_are_those_of_float32,
    bfloat16.samples_in_bfloat16_are_finite_and_float32,
    bfloat16.likelihood_and_reconstruction_in_bfloat16_are_those_of_float32,
    trainings.a_training_in_bfloat16_resumes_bit_for_bit,
)
"""Rules of a model whose networks compute in bfloat16."""
FAKE_CUDA: tuple[Rule, ...] = (
    fake_cuda.no_operation_mixes_devices,
    fake_cuda.training_and_sampling_read_nothing_back,
)
"""Rules of a model on a GPU, checked without one."""
RULES = (*FLOAT32, *BFLOAT16, *FAKE_CUDA)


class Outcome(NamedTuple):
    """End of one check; text: what was expected and came where it failed, or the reason for n/a."""

    verdict: Literal["passed", "failed", "n/a"]
    text: str = ""


def check(rule: Rule, candidate: Candidate) -> Outcome:
    """Check one rule on a family. Whatever the family raises is a failure, with the type, the message and the
    line of the error; nothing is raised but what ends the process."""
    torch.manual_seed(0)
    try:
        rule(candidate)
    except NotApplicable as reason:
        return Outcome("n/a", str(reason))
    except AssertionError as error:
        return Outcome("failed", str(error) or f"an assertion failed{place(error)}")
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}{place(error)}")
    return Outcome("passed")


def place(error: Exception) -> str:
    """Return the line that raised an error, the last one outside of torch, as text to be appended."""
    torchs = str(Path(torch.__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if torchs not in frame.filename]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def title(rule: Rule) -> str:
    """Return the name of a rule as words: an_unknown_phase_is_refused is "an unknown phase is refused"."""
    return rule.__name__.replace("_", " ")


def sentence(rule: Rule) -> str:
    """Return a rule in one sentence, as the author of a family reads it: the function's docstring in a
    line."""
    return " ".join((rule.__doc__ or "").split())
