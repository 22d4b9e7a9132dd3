"""Who leads in one measure: the statistics of the reports, as sentences."""

import pytest

from benchmarks.publish.winners import corrected, ranking, score
from tests.publish.made import LOWEST, records


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"a": [1, 1.1, 0.9], "b": [5, 5.1, 4.9]},
            "its lead over b (5.000 ± 0.100) is significant (p < 0.001",
        ),
        ({"a": [1, 2, 3], "b": [2, 3, 4]}, "its lead over b (3.0 ± 1.0) is not significant (p = "),
        ({"a": [1], "b": [5]}, "its lead over b (5.000) is not tested, as all models have one seed."),
        ({"a": [1, 1.1], "b": [5]}, "its lead over b (5.000) is not tested, as b has one seed."),
        (
            {"a": [1], "b": [5, 5.1], "c": [6, 6.1]},
            "its lead over b (5.050 ± 0.071) is not tested, as a has one seed.",
        ),
        (
            {"a": [1, 1.1, 0.9], "x": [2], "b": [5, 5.1, 4.9]},
            "its lead over b (5.000 ± 0.100) is significant (p < 0.001); x has one seed, and cannot be "
            "tested.",
        ),
        ({"a": [1]}, "a has the lowest error (1.000); no other model has a number."),
    ],
)
def test_a_lead_is_called_significant_by_the_reports_own_test_alone(
    found: dict[str, list[float]], sentence: str
) -> None:
    named = ranking(records(**found), LOWEST)
    assert named is not None
    assert named.sentence.startswith("a has the lowest error (")
    assert sentence in named.sentence


def test_equal_numbers_have_no_winner() -> None:
    named = ranking(records(a=[1, 1], b=[1], c=[2, 2]), LOWEST)
    assert named is not None
    assert named.sentence.startswith("a and b share the lowest error (1.0")


def test_p_values_of_several_needs_are_corrected_together() -> None:
    """A lead that is significant alone is not beside others: p values of two tests are doubled, those of a
    need that is not tested count for nothing.
    """
    close = ranking(records(a=[1, 2, 3], b=[3.4, 4.4, 5.4]), LOWEST)
    alone, none = close and close.test, ranking(records(a=[1], b=[2]), LOWEST)
    assert close is not None
    assert none is not None
    assert alone is not None
    assert alone.is_significant
    first, second, untested = corrected([close, close, none])
    assert untested == none
    for each in (first, second):
        assert each.test is not None
        assert each.test.p_value == pytest.approx(2 * alone.p_value)
        assert "is not significant" in each.sentence
    assert corrected([close, none])[0] == close


def test_a_single_run_has_its_interval_over_samples() -> None:
    metrics = {f"fid{end}[f,n=9,ref=train,ema]": x for end, x in (("", 2.0), ("_low", 1.5), ("_high", 2.5))}
    made = [{"result": {"choices": {"model": "gan"}, "metrics": metrics}}] * 2
    (one, two) = (ranking(made[:n], score("fid")) for n in (1, 2))
    assert one is not None
    assert two is not None
    assert "gan has the lowest FID (2.00 [1.50, 2.50])" in one.sentence
    assert "[" not in two.sentence
