import pytest

from genbench.records.units import device_words, with_unit


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1_030_000_000, "B", "1.03 GB"),
        (999, "B", "999 B"),
        (1.48e12, "FLOP", "1.48 TFLOP"),
        (250e6, "FLOP", "250 MFLOP"),
        (0.00968, "s", "9.68 ms"),
        (12_345.6, "s", "12,346 s"),
        (0, "s", "0 s"),
        (None, "B", "n/a"),
        (float("nan"), "s", "nan s"),
    ],
)
def test_a_quantity_has_three_figures_and_its_unit(value: float | None, unit: str, expected: str) -> None:
    assert with_unit(value, unit) == expected


def test_one_thread_is_no_plural() -> None:
    assert device_words("2 x cpu (1 threads)") == "2 x cpu (1 thread)"
    assert device_words("cpu (4 threads)") == "cpu (4 threads)"
