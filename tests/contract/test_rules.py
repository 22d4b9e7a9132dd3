"""A family that breaks a rule hears of that rule, and of no other."""

import re
from pathlib import Path

import pytest

from genbench.contract import RULES, Candidate, Outcome, check, sentence, title
from genbench.generator import Generator
from tests.contract import families as f

ROOT = Path(__file__).resolve().parents[2]

BROKEN: list[tuple[type[Generator], dict[str, str]]] = [
    (
        f.OtherDtype,
        {"each_phase_has_a_finite_scalar_float32_loss_with_detached_terms": "float32 .*; got torch.float64"},
    ),
    (f.IdleParameter, {"gradient_reaches_every_parameter_of_its_phase": "got none of idle"}),
    (f.Stagnant, {"the_loss_of_each_phase_falls_on_a_tiny_set": "expected a loss below .* got 100"}),
    (
        f.OwnNoise,
        {
            "two_parts_of_a_batch_have_its_loss_and_its_gradients": "of the whole batch .* in two parts",
            "an_accumulated_training_is_that_of_whole_batches": "got mean .* apart",
        },
    ),
    (
        f.Forgetful,
        {
            "an_accumulated_training_is_that_of_whole_batches": "got mean",
            "a_training_in_two_parts_equals_one_bit_for_bit": "got others in mean, log_scale",
            "a_validation_is_finite_repeats_itself_and_changes_nothing": "the losses .* once more; got",
            "a_training_in_bfloat16_resumes_bit_for_bit": "got others in mean, log_scale",
        },
    ),
    (
        f.OtherDraws,
        {
            "samples_have_the_shape_and_follow_the_rng": "the same seed; got other images",
            "sampling_leaves_the_default_generator_alone": "pass rng to each draw",
        },
    ),
    (f.DrawsBeside, {"sampling_leaves_the_default_generator_alone": "pass rng to each draw"}),
    (
        f.KeepsConstant,
        {"samples_in_inference_mode_are_the_same_and_a_training_goes_on": "cannot be saved for backward"},
    ),
    (f.BlindToLabels, {"labels_change_the_samples_of_a_conditional_model": "label 1 .* the same images"}),
    (f.StateIncomplete, {"the_state_comes_back_with_identical_samples": "whose state was loaded"}),
    (
        f.AnyImages,
        {"wrong_images_are_refused_with_the_shape_and_the_remedy": "images .* expected a ValueError"},
    ),
    (
        f.AnyLabels,
        {
            "wrong_labels_are_refused_with_the_value_and_the_legal_set": "no labels in ",
            "wrong_texts_are_refused_with_the_remedy": "texts in .* of a model that takes none",
        },
    ),
    (f.BlindToText, {"texts_change_the_samples_of_a_model_of_text": "'two' than .* the same images"}),
    (f.ReadsPadding, {"padding_of_texts_changes_nothing": "a loss of .* with padding"}),
    (f.AnyPhase, {"an_unknown_phase_is_refused": "'nonsense': expected a ValueError .* it was accepted"}),
    (f.WrongSum, {"likelihoods_are_finite_and_name_their_bound": r"shape \(6,\); got \(\)"}),
    (f.NoSteps, {"twice_the_steps_draw_the_same_as_once": "an error above 0 .* got 0"}),
    (
        f.SamplesElsewhere,
        {"samples_are_the_decoded_prior": "got other images", "trajectories_end_in_the_samples": "last of 2"},
    ),
    (f.FlatLatents, {"latents_have_their_shape_and_decode_to_images": r"\(6, 1, 8, 8\); got \(6, 64\)"}),
    (f.NoInverse, {"latents_have_their_shape_and_decode_to_images": "reconstructions less than 0.0040"}),
    (f.EndsElsewhere, {"trajectories_end_in_the_samples": "last of 2 states; got other images"}),
    (
        f.BeginsElsewhere,
        {"forward_processes_start_from_the_data": "x itself as the first of 2 states"},
    ),
    (
        f.OtherLevels,
        {"shares_of_data_are_those_of_the_noised_states": r"near \[1.0, 0.25, 0.0\]; got \[1.0, 0.4"},
    ),
    (
        f.FitMovesParameters,
        {"numbers_fitted_after_training_are_finite_and_leave_the_parameters": "as they were; got others"},
    ),
    (f.RoughLoss, {"losses_in_bfloat16_are_those_of_float32": "a loss near .* in bfloat16"}),
    (f.RoughSamples, {"samples_in_bfloat16_are_finite_and_float32": "got torch.bfloat16"}),
    (
        f.RoughLikelihood,
        {"likelihood_and_reconstruction_in_bfloat16_are_those_of_float32": "bits per dimension to 0.05"},
    ),
    (f.OnTheHost, {"no_operation_mixes_devices": "found at least two devices, cuda:0 and cpu"}),
    (f.Asks, {"training_and_sampling_read_nothing_back": "1 by .*Asks.loss in loss of net, step 0"}),
]
"""Families and, by the rules that each breaks, what it hears."""
each = pytest.mark.parametrize(("family", "heard"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))


def broken(family: type[Generator], names: set[str] | None = None) -> dict[str, Outcome]:
    """The rules, or those of some names, that a family does not keep, with what it hears."""
    candidate = Candidate(family)
    found = {
        rule.__name__: check(rule, candidate) for rule in RULES if names is None or rule.__name__ in names
    }
    return {name: outcome for name, outcome in found.items() if outcome.verdict == "failed"}


@each
def test_a_family_hears_which_rule_it_breaks_and_what_came(
    family: type[Generator], heard: dict[str, str]
) -> None:
    found = broken(family, set(heard))
    assert found.keys() == heard.keys()
    for name, text in heard.items():
        assert re.search(text, found[name].text), found[name].text


@pytest.mark.slow
@each
def test_it_hears_of_no_other_rule(family: type[Generator], heard: dict[str, str]) -> None:
    assert broken(family).keys() == heard.keys()


def test_every_rule_is_broken_by_some_family() -> None:
    assert {name for _, heard in BROKEN for name in heard} == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("family", [f.Whole, f.SharedNoise, f.WithNetwork])
def test_a_family_with_all_abilities_keeps_all_rules(family: type[Generator]) -> None:
    candidate = Candidate(family)
    found = {title(rule): check(rule, candidate) for rule in RULES}
    assert {name: outcome for name, outcome in found.items() if outcome.verdict == "failed"} == {}
    assert [name for name, outcome in found.items() if outcome.verdict == "n/a"] == [
        "samples in inference mode are the same and a training goes on",
        "texts change the samples of a model of text",
        "padding of texts changes nothing",
        "twice the steps draw the same as once",
    ]


def test_a_family_of_text_keeps_all_rules() -> None:
    assert broken(f.OfText) == {}


def test_a_loss_that_is_not_a_number_is_named_as_such() -> None:
    name = "each_phase_has_a_finite_scalar_float32_loss_with_detached_terms"
    assert "expected a finite total in phase 'net'; got nan" in broken(f.NotANumber, {name})[name].text


def test_an_error_of_the_family_is_told_with_its_place() -> None:
    class Crashes(f.Whole):
        def prior(self, n: int, y: object = None, *, rng: object = None) -> None:
            raise KeyError("nothing")

    name = "samples_have_the_shape_and_follow_the_rng"
    assert re.search(r"KeyError: 'nothing' \(.*test_rules.py, line \d+\)", broken(Crashes, {name})[name].text)


def test_batchwise_losses_are_not_held_to_their_parts() -> None:
    candidate = Candidate(f.OwnNoise, batchwise=True)
    verdicts = {rule.__name__: check(rule, candidate).verdict for rule in RULES if "batch" in rule.__name__}
    assert len(verdicts) == 2
    assert set(verdicts.values()) == {"n/a"}


def test_the_page_for_authors_lists_every_rule_in_its_own_words() -> None:
    page = " ".join((ROOT / "docs" / "own-family.md").read_text().split())
    assert [title(rule) for rule in RULES if f"- {sentence(rule)}" not in page] == []
