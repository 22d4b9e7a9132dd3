import math

import pytest
import torch

from genbench.data import out_of_range, to_float, to_uint8


def test_every_level_survives_the_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)


def test_the_ends_and_the_middle_are_where_the_formula_puts_them() -> None:
    x = to_float(torch.tensor([0, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.tolist() == [-1.0, 1.0]
    assert to_uint8(torch.tensor([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]  # 127.5 rounds up


def test_the_nearest_level_is_taken_on_both_sides_of_each_boundary() -> None:
    levels = torch.arange(255)
    boundary = (levels.double() + 0.5) / 127.5 - 1
    # 1e-3 of a level: far above float32's rounding (127.5 * 2^-23 levels), far below half a level.
    assert torch.equal(to_uint8(boundary - 1e-3 / 127.5).long(), levels)
    assert torch.equal(to_uint8(boundary + 1e-3 / 127.5).long(), levels + 1)


def test_values_out_of_range_are_clamped_and_counted() -> None:
    x = torch.tensor([-math.inf, -1.5, -1.0, 0.3, 1.0, 1.001, 40.0, math.inf])
    assert to_uint8(x).tolist()[:3] == [0, 0, 0]
    assert to_uint8(x).tolist()[4:] == [255] * 4
    assert out_of_range(x).item() == 5 / 8


def test_nan_counts_as_out_of_range_and_has_no_byte() -> None:
    x = torch.tensor([0.0, math.nan])
    assert out_of_range(x).item() == 0.5
    with pytest.raises(FloatingPointError, match="NaN"):
        to_uint8(x)


def test_a_second_conversion_is_refused() -> None:
    with pytest.raises(TypeError, match="float32"):
        to_float(torch.zeros(2))
    with pytest.raises(TypeError, match="uint8"):
        to_uint8(torch.zeros(2, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_type_gives_bytes(dtype: torch.dtype) -> None:
    assert to_uint8(torch.tensor([-1.0, 1.0], dtype=dtype)).tolist() == [0, 255]
