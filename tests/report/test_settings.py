import pytest

from genbench.report.settings import budget, differing, plain, settings


def test_settings_are_flat_and_what_is_said_elsewhere_is_left_out() -> None:
    sampler = {"_target_": "Ancestral", "steps": 50}
    config = {
        "name": "x",
        "seed": 1,
        "runs_dir": "runs",
        "sampler": sampler,
        "model": {"_target_": "Diffusion", "shape": [1, 8, 8], "sampler": sampler, "share": 0.5},
        "optim": {"betas": [0.9, 0.99], "lr": None},
    }
    assert settings(config) == {
        "sampler.steps": 50,
        "model.share": 0.5,
        "optim.betas": "[0.9, 0.99]",
        "optim.lr": None,
    }


def test_a_model_keeps_a_part_that_differs_from_the_group_of_its_name() -> None:
    config = {"sampler": {"steps": 50}, "model": {"sampler": {"steps": 20}}}
    assert settings(config) == {"sampler.steps": 50, "model.sampler.steps": 20}


def test_where_a_set_lies_is_no_setting_where_it_can_be_downloaded() -> None:
    assert settings({"data": {"root": "/a", "download": True, "size": 8}}) == {"data.size": 8}
    assert settings({"data": {"root": "/a"}}) == {"data.root": "/a"}


def test_a_run_that_lacks_a_key_differs_and_so_do_one_and_true() -> None:
    assert differing([{"a": 1, "b": 1, "c": 1}, {"a": True, "c": 1}]) == ["a", "b"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"_target_": "Budget", "images": 60000, "seconds": None}, "60,000 images"),
        ({"images": 1000, "seconds": 600.5}, "1,000 images or 600.5 seconds"),
        ({"flops": 2.5e15}, "2.5e+15 flops"),
        ({}, None),
        (None, None),
    ],
)
def test_a_budget_is_said_in_words(limits: dict | None, expected: str | None) -> None:
    assert budget({"budget": limits}, "cpu (8 threads)") == expected


def test_seconds_of_several_devices_are_device_seconds() -> None:
    for limits, expected in (
        ({"images": 1000, "seconds": 600}, "1,000 images or 4,800 device-seconds"),
        ({"images": 1000, "seconds": None}, "1,000 images"),
    ):
        assert budget({"budget": limits}, "8 x NVIDIA H100") == expected


def test_a_damaged_record_of_the_data_is_a_setting_like_others() -> None:
    """The report shows it, and goes on with the other runs."""
    assert settings({"data": 5, "seed": 0}) == {"data": 5}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[0.9, 0.99]", "0.9, 0.99"),
        ('["a", true, null]', "a, true, null"),
        (
            '[{"_target_": "x.FID"}, {"_target_": "x.KID", "subsets": 100, "of": [1]}]',
            "FID, KID (subsets=100)",
        ),
        ("[a text that is no list", "[a text that is no list"),
        ("[[1, 2], [3]]", "[[1, 2], [3]]"),
        ("[]", "[]"),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_lists_and_objects_are_words_to_a_reader(value: str | float | None, words: object) -> None:
    assert plain(value) == words
