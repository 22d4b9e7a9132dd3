"""The adversarial term of an autoencoder: its balance, its start, and which gradients reach whom."""

import pytest
import torch
from torch import Tensor, nn

from genbench.gans.adversary import Adversary, last_layer
from genbench.gans.criterion import Hinge, Relativistic, Wasserstein
from genbench.nn.patch import PatchDiscriminator
from genbench.nn.resnet import MapDecoder
from genbench.probability.loss import Loss
from genbench.runtime.global_batch import Part, at_work

SHAPE = (1, 8, 8)


def images(n: int = 6) -> Tensor:
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def adversary(**settings: float) -> Adversary:
    torch.manual_seed(0)
    return Adversary(PatchDiscriminator(SHAPE, width=8), Hinge(), **{"start": 0.0, **settings}).train()


def decoder() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1))


def losses(rival: Adversary, net: nn.Module, x: Tensor) -> Loss:
    fake = net(x)
    return rival.generator_loss(Loss((fake - x).square().mean(), {}), fake, x, last=last_layer(net))


def test_the_weight_of_the_next_step_is_the_ratio_of_the_two_gradients_norms() -> None:
    rival, net, x = adversary(delta=1e-3), decoder(), images()
    losses(rival, net, x)
    last = list(net.parameters())[-2]  # the kernel before the bias
    (ours,) = torch.autograd.grad((net(x) - x).square().mean(), last)
    (theirs,) = torch.autograd.grad(-rival.discriminator(net(x)).mean(), last)
    assert float(rival.balance) == pytest.approx(float(ours.norm() / (theirs.norm() + 1e-3)), rel=1e-5)


def test_the_term_is_weight_times_balance_times_the_criterion_and_the_first_step_has_none() -> None:
    rival, net, x = adversary(weight=0.5), decoder(), images()
    alone = (net(x) - x).square().mean()
    assert torch.equal(losses(rival, net, x).total, alone)
    balance = float(rival.balance)
    assert balance > 0
    expected = float(alone) - 0.5 * balance * float(rival.discriminator(net(x)).mean())
    assert float(losses(rival, net, x).total.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_balance_is_bounded_and_a_loss_that_is_not_finite_leaves_it_as_it_was() -> None:
    rival, net, x = adversary(most=1e-6), decoder(), images()
    losses(rival, net, x)
    assert float(rival.balance) == pytest.approx(1e-6)
    losses(rival, net, x * torch.inf)
    assert float(rival.balance) == pytest.approx(1e-6)


def test_parts_of_a_batch_share_the_balance_of_the_whole() -> None:
    x, net = images(), decoder()
    whole, parts = adversary(), adversary()
    for _ in range(2):
        total = losses(whole, net, x).total
        found = []
        for index in range(2):
            with at_work(Part(index, 2, last=index == 1)):
                found.append(losses(parts, net, x.chunk(2)[index]).total)
        assert torch.allclose(torch.stack(found).mean(), total, rtol=1e-5)
        assert torch.allclose(parts.balance, whole.balance, rtol=1e-4)


def test_there_is_no_term_before_the_start_nor_in_evaluation() -> None:
    rival, net, x = adversary(start=0.5), decoder(), images()
    rival.balance.fill_(3.0)
    alone = (net(x) - x).square().mean()
    for spent in (0.0, 0.49):
        rival.begin_step(spent)
        assert torch.equal(losses(rival, net, x).total, alone)
    rival.begin_step(0.5)
    assert not torch.equal(losses(rival, net, x).total, alone)
    assert torch.equal(losses(rival.eval(), net, x).total, alone)


def test_a_weight_of_zero_is_the_loss_without_it_bit_for_bit() -> None:
    rival, net, x = adversary(weight=0.0), decoder(), images()
    alone = (net(x) - x).square().mean()
    expected = torch.autograd.grad(alone, list(net.parameters()))
    for _ in range(2):
        total = losses(rival, net, x).total
        assert torch.equal(total, alone)
    found = torch.autograd.grad(total, list(net.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_stages_split_the_training_at_the_start() -> None:
    assert adversary(start=0.25).stages("net") == [(0.25, ("net",)), (0.75, ("net", "disc"))]
    assert adversary(start=0.0).stages("net") == [(1.0, ("net", "disc"))]


def test_the_discriminators_loss_reaches_it_alone() -> None:
    rival, net, x = adversary(), decoder(), images()
    loss = rival.discriminator_loss(x, net(x))
    loss.total.backward()
    assert all(p.grad is None for p in net.parameters())
    assert all(p.grad is not None for p in rival.parameters())
    logits = torch.cat([1 - rival.discriminator(x), 1 + rival.discriminator(net(x))]).relu()
    assert float(loss.total.detach()) == pytest.approx(2 * float(logits.mean()), rel=1e-5)


def test_a_criterion_that_compares_gets_the_real_images() -> None:
    rival = Adversary(PatchDiscriminator(SHAPE, width=8), Relativistic(), start=0.0).train()
    assert bool(losses(rival, decoder(), images()).total.isfinite())


def test_the_last_layer_of_a_decoder_makes_its_image() -> None:
    network = MapDecoder(SHAPE, in_channels=2, width=8, multipliers=[1, 1])
    assert last_layer(network) is network.leave.conv.weight
    with pytest.raises(ValueError, match="Identity has no layer"):
        last_layer(nn.Identity())


@pytest.mark.parametrize(("name", "value"), [("weight", -1.0), ("start", 1.0), ("delta", 0.0), ("most", 0.0)])
def test_numbers_outside_their_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"adversarial\.{name} is"):
        adversary(**{name: value})


def test_a_criterion_that_needs_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="criterion=wasserstein needs"):
        Adversary(PatchDiscriminator(SHAPE, width=8), Wasserstein()).check()


def test_a_logit_sees_its_patch_alone() -> None:
    """26 pixels a side behind two halvings, whatever lies beyond them."""
    network = PatchDiscriminator((1, 64, 64), width=8, layers=2)
    for norm in network.norms:
        norm.forward = lambda h: h  # statistics of the whole map would mix patches
    x = torch.randn(1, 1, 64, 64, requires_grad=True)
    logits = network(x)
    assert logits.shape == (1, 16, 16)
    (slope,) = torch.autograd.grad(logits[0, 8, 8], x)
    rows, columns = slope[0, 0].nonzero().T
    assert [int(side.max() - side.min()) + 1 for side in (rows, columns)] == [26, 26]


def test_more_halvings_than_the_image_bears_are_refused() -> None:
    with pytest.raises(ValueError, match=r"discriminator\.layers is 3"):
        PatchDiscriminator(SHAPE, layers=3)
