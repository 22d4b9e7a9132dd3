"""Agreement with zuko, where both have the same transform with the same numbers."""

import math

import pytest
import torch
from torch import Tensor

from genbench.flows.conv1x1 import Conv1x1
from genbench.flows.coupling import Affine, Channels, Coupling
from genbench.nn.coupling import ConvNets
from tests.flows.laws import noise, shaken

zuko = pytest.importorskip("zuko")
SLOPE = 1e-3  # zuko's bound on scales; below, its squashing is undone


def test_the_mixing_of_channels_equals_that_of_zuko() -> None:
    """Theirs is L' U' with the diagonal on L', ours P L U with the diagonal on U."""
    conv, x = shaken(Conv1x1(5)), noise(3, 5, 1, 1)
    lower, upper = conv.factors()
    diagonal = upper.diagonal()
    packed = lower.tril(-1) * diagonal + (upper / diagonal[:, None]).triu(1) + torch.diag(diagonal)
    theirs = zuko.transforms.LULinearTransform(packed)
    z, log_det = conv(x)
    expected, ladj = theirs.call_and_ladj(x.flatten(1))
    assert torch.allclose(z.flatten(1), expected[:, conv.order], atol=1e-10)  # float64
    assert torch.allclose(log_det, ladj, atol=1e-10)


def test_a_coupling_equals_that_of_zuko() -> None:
    coupling = shaken(Coupling(Channels((4, 1, 1)), Affine(2.0), ConvNets(width=6)))
    x = noise(7, 4, 1, 1)

    def meta(kept: Tensor) -> object:
        raw = coupling.raw(kept[:, :, None, None], None).flatten(1)
        s, t = (part.flatten(1) for part in coupling.law.scale_and_shift(raw[:, :, None, None]))
        unsquashed = s / (1 - (s / math.log(SLOPE)).abs())
        affine = zuko.transforms.MonotonicAffineTransform(t * s.exp(), unsquashed, slope=SLOPE)
        return zuko.transforms.DependentTransform(affine, 1)

    theirs = zuko.transforms.CouplingTransform(meta, torch.tensor([True, True, False, False]))
    z, log_det = coupling(x)
    expected, ladj = theirs.call_and_ladj(x.flatten(1))
    assert torch.allclose(z.flatten(1), expected, atol=1e-10)
    assert torch.allclose(log_det, ladj, atol=1e-10)
    assert torch.allclose(coupling.inverse(z).flatten(1), theirs.inv(expected), atol=1e-10)
