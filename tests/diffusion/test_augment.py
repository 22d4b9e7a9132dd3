"""Non-leaking augmentation: each transformation in closed form, and the label that says all."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from genbench.diffusion.augment import NonLeaking, give_labels
from genbench.diffusion.binomial import BinomialDiffusion, ErasureSchedule
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.guidance import Unguided
from genbench.diffusion.mean_flow import MeanFlow
from genbench.diffusion.ode import Midpoint
from genbench.diffusion.pairing import OptimalTransport
from genbench.diffusion.path_times import StratifiedPathTimes
from genbench.diffusion.process import Process
from genbench.diffusion.reflow import Reflow
from genbench.diffusion.times import Stratified
from genbench.families.diffusion import Denoising, Diffusion
from genbench.gans.augment import NoAugmentation
from genbench.nn.ddpm_pp import DDPMPlusPlus
from genbench.nn.dit import DiT
from genbench.nn.unet import UNet
from genbench.runtime.global_batch import Part, at_work
from tests.toys import toy_process

CPU = torch.device("cpu")
SHAPES = [(4, 1, 8, 8), (4, 3, 9, 12)]
NETWORKS: tuple[type[nn.Module], ...] = (UNet, DiT, DDPMPlusPlus)


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def label(n: int, **numbers: float) -> Tensor:
    """Labels of n images, all the same: a3=.. is number 3 of 0 to 8, the others are 0."""
    found = torch.zeros(n, 9)
    for name, value in numbers.items():
        found[:, int(name[1:])] = value
    return found


def turned(degrees: float) -> dict[str, float]:
    angle = math.radians(degrees)
    return {"a3": math.cos(angle) - 1, "a4": math.sin(angle)}


def blob(covariance: Tensor, centre: tuple[float, float] = (0.0, 0.0), side: int = 49) -> Tensor:
    """exp(-z^T covariance^-1 z / 2) at pixels z = (to the right, up) from the middle: (1, 1, side, side)."""
    axis = torch.arange(side) - (side - 1) / 2
    z = torch.stack(
        torch.broadcast_tensors(axis - centre[0], -axis[:, None] - centre[1]), dim=2
    )  # (side, side, 2)
    return torch.exp(-torch.einsum("hwi,ij,hwj->hw", z, covariance.inverse(), z) / 2)[None, None]


@pytest.mark.parametrize("shape", SHAPES)
def test_label_zero_changes_no_bit(shape: tuple[int, ...]) -> None:
    x = images(*shape)
    assert torch.equal(NonLeaking().transformed(x, label(len(x))), x)


@pytest.mark.parametrize("shape", SHAPES)
def test_flips_are_exact(shape: tuple[int, ...]) -> None:
    x, augment = images(*shape), NonLeaking()
    assert torch.equal(augment.transformed(x, label(4, a0=1)), x.flip(3))
    assert torch.equal(augment.transformed(x, label(4, a1=1)), x.flip(2))
    assert torch.equal(augment.transformed(x, label(4, a0=1, a1=1)), x.flip(2, 3))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_those_of_rot90(quarters: int) -> None:
    x = images(4, 3, 9, 9)
    found = NonLeaking().transformed(x, label(4, **turned(90 * quarters)))
    torch.testing.assert_close(found, torch.rot90(x, quarters, (2, 3)), atol=2e-5, rtol=0)


def test_translations_by_whole_pixels_are_exact_to_rounding_and_reflect_what_comes_in() -> None:
    x, augment = images(4, 2, 16, 24), NonLeaking(translation=0.125)
    found = augment.transformed(x, label(4, a7=1, a8=2))  # 3 pixels to the right, 4 down
    padded = nn.functional.pad(x, (3, 0, 4, 0), mode="reflect")
    torch.testing.assert_close(found, padded[:, :, :16, :24], atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    ("numbers", "matrix"),
    [
        ({"a2": 1.0}, [[2**0.2, 0.0], [0.0, 2**0.2]]),
        ({"a2": -1.5}, [[2**-0.3, 0.0], [0.0, 2**-0.3]]),
        ({"a5": 1.0}, [[2**0.2, 0.0], [0.0, 2**-0.2]]),
        ({"a5": -1.0}, [[2**-0.2, 0.0], [0.0, 2**0.2]]),
        (  # along the direction 45 degrees above the horizontal
            {"a6": 1.0},
            [
                [math.cosh(0.2 * math.log(2)), math.sinh(0.2 * math.log(2))],
                [math.sinh(0.2 * math.log(2)), math.cosh(0.2 * math.log(2))],
            ],
        ),
        (turned(30), [[3**0.5 / 2, -0.5], [0.5, 3**0.5 / 2]]),
    ],
)
def test_a_gaussian_blob_gets_the_covariance_of_the_matrix(
    numbers: dict[str, float], matrix: list[list[float]]
) -> None:
    """x(G^-1 u) for x = exp(-u^T C^-1 u / 2) is the blob of covariance G C G^T."""
    before, by = torch.tensor([[25.0, 5.0], [5.0, 16.0]]), torch.tensor(matrix)
    found = NonLeaking().transformed(blob(before), label(1, **numbers))
    torch.testing.assert_close(found, blob(by @ before @ by.T), atol=0.015, rtol=0)


def test_scaling_comes_first_then_rotation_then_stretch_then_translation() -> None:
    """A round blob beside the centre shows the order: its own centre goes through all of them."""
    numbers = {"a2": 0.5, **turned(40), "a5": 1.2, "a7": 0.5, "a8": -0.3}
    augment, z = NonLeaking(), torch.tensor([5.0, 2.0])
    angle, k = math.radians(40), 0.2 * math.log(2) * 1.2
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    g = torch.diag(torch.tensor([math.exp(k), math.exp(-k)])) @ turn * 2**0.1
    moved = g @ z + torch.tensor([0.5, 0.3]) * 0.125 * 49  # up is against the rows
    found = augment.transformed(blob(16 * torch.eye(2), (5.0, 2.0)), label(1, **numbers))
    expected = blob(16 * g @ g.T, (float(moved[0]), float(moved[1])))
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)


def test_the_label_that_is_recorded_reproduces_the_transformation() -> None:
    torch.manual_seed(0)
    x, augment = images(64, 1, 8, 8), NonLeaking(p=0.5)
    changed, found = augment(x)
    assert torch.equal(augment.transformed(x, found), changed)
    unchanged = (changed == x).flatten(1).all(1)
    assert torch.equal(unchanged, (found == 0).all(1))
    assert 0 < int(unchanged.sum()) < 10


def test_each_transformation_happens_with_its_probability_and_its_distribution() -> None:
    """40,000 draws: each share within 6 standard deviations of its value."""
    torch.manual_seed(0)
    n, p = 40_000, 0.3
    found = NonLeaking(p=p, x_flip=1.0, translation=0.1).draw(n, CPU)
    shares = (found != 0).float().mean(0)
    wanted = torch.tensor([0.5, p / 2, p, p, p, p, p / 2, p, p])
    assert bool(((shares - wanted).abs() < 6 * (wanted * (1 - wanted) / n).sqrt()).all())
    assert torch.equal(found[:, 7] != 0, found[:, 8] != 0)  # both or none
    scale = found[:, 2][found[:, 2] != 0]
    assert abs(float(scale.mean())) < 6 / len(scale) ** 0.5
    assert float(scale.var()) == pytest.approx(1, abs=6 * (2 / len(scale)) ** 0.5)
    angles = torch.atan2(found[:, 4], found[:, 3] + 1)[found[:, 4] != 0]
    assert float(angles.square().mean()) == pytest.approx(math.pi**2 / 3, rel=0.05)  # uniform in +-pi
    assert torch.allclose((found[:, 3] + 1).square() + found[:, 4].square(), torch.ones(n), atol=1e-5)


def test_a_strength_of_nothing_leaves_its_label_at_zero() -> None:
    torch.manual_seed(0)
    none = NonLeaking(p=1.0, x_flip=0.0, y_flip=0.0, scale=0.0, rotation=0.0, stretch=0.0, translation=0.0)
    x = images(16, 1, 8, 8)
    changed, found = none(x)
    assert torch.equal(found, torch.zeros(16, 9))
    assert torch.equal(changed, x)


def test_the_parts_of_a_batch_have_its_draws() -> None:
    x, augment = images(8, 1, 8, 8), NonLeaking(p=0.5)
    torch.manual_seed(3)
    whole = augment(x)
    for index in range(2):
        torch.manual_seed(3)
        with at_work(Part(index, 2)):
            part = augment(x[4 * index : 4 * index + 4])
        for mine, all_of in zip(part, whole, strict=True):
            assert torch.equal(mine, all_of[4 * index : 4 * index + 4])


def model(augmentation: NonLeaking | NoAugmentation | None, network: nn.Module | None = None) -> Diffusion:
    torch.manual_seed(0)
    network = network or UNet((1, 8, 8), width=8)
    return Diffusion((1, 8, 8), 0, network=network, process=toy_process(), augmentation=augmentation)


def trained(of: Diffusion) -> Diffusion:
    """With weights from which no answer is 0."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in of.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return of


def test_with_probability_zero_the_loss_is_bit_for_bit_that_of_no_augmentation() -> None:
    augmented = trained(model(NonLeaking(p=0.0)))
    plain = trained(model(None, UNet((1, 8, 8), width=8)))
    weights = {k: v for k, v in augmented.network.state_dict().items() if k != "augment.weight"}
    plain.network.load_state_dict(weights)
    x, losses = images(16, 1, 8, 8), []
    for each in (augmented, plain):
        torch.manual_seed(5)
        losses.append(each.loss(x).total)
        losses[-1].backward()
    assert torch.equal(*losses)
    slopes = dict(augmented.network.named_parameters())
    for name, parameter in plain.network.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, slopes[name].grad)


def test_outside_of_training_losses_likelihoods_and_samples_are_those_of_label_zero() -> None:
    of = trained(model(NonLeaking(p=1.0))).eval()
    plain = copy.deepcopy(of)
    plain.augmentation = None
    x = images(16, 1, 8, 8)
    found = []
    for each in (of, plain):
        torch.manual_seed(5)
        found.append(
            (each.loss(x).total, each.log_prob(x), each.sample(4, rng=torch.Generator().manual_seed(1)))
        )
    assert all(map(torch.equal, *found))


@pytest.mark.parametrize("kind", NETWORKS)
def test_label_zero_and_no_label_have_the_same_answer_and_others_another(kind: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = kind((1, 8, 8)).eval()
    give_labels(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    x, t = images(4, 1, 8, 8), torch.rand(4)
    answer = network(x, t)
    assert torch.equal(network(x, t, None, None, torch.zeros(4, 9)), answer)
    for number in range(9):
        assert bool((network(x, t, None, None, label(4, **{f"a{number}": 1.0})) != answer).any())


def test_an_augmented_model_begins_with_the_weights_of_a_plain_one() -> None:
    plain, augmented = (model(each).state_dict() for each in (NoAugmentation(), NonLeaking()))
    assert augmented.keys() - plain.keys() == {"network.augment.weight"}
    assert all(torch.equal(augmented[name], weight) for name, weight in plain.items())


def test_the_loss_is_learned_from_by_the_map_of_labels() -> None:
    """Its gradient is that of finite differences, in float64."""
    of = trained(model(NonLeaking(p=1.0))).double()
    x, weight = images(4, 1, 8, 8).double(), of.network.augment.weight

    def loss() -> Tensor:
        torch.manual_seed(5)
        answer = of.network(x, torch.full((4,), 0.5, dtype=torch.double), None, None, labels.double())
        return (answer - x).square().mean()

    labels = NonLeaking(p=1.0).draw(4, CPU)
    (slope,) = torch.autograd.grad(loss(), weight)
    assert bool((slope.abs().sum(0) > 0).all() | (labels == 0).all(0).any())
    direction = torch.randn(weight.shape, dtype=torch.double)
    with torch.no_grad():
        weight += 1e-5 * direction
        above = loss()
        weight -= 2e-5 * direction
        below = loss()
    assert float((above - below) / 2e-5) == pytest.approx(float((slope * direction).sum()), rel=1e-6)


def flow(process_of_pairs: nn.Module) -> FlowMatching:
    return FlowMatching(
        coupling=process_of_pairs, times=StratifiedPathTimes(), solver=Midpoint(2), guidance=Unguided()
    )


@pytest.mark.parametrize(
    ("process", "remedy"),
    [
        (flow(Reflow(solver=Midpoint(2))), "use augmentation=none, or pairing=independent"),
        (flow(OptimalTransport()), "the noise that is near to it, .* or pairing=independent"),
        (
            BinomialDiffusion(schedule=ErasureSchedule(50), times=Stratified()),
            "use augmentation=none, or process=gaussian",
        ),
        (MeanFlow(times=StratifiedPathTimes()), "leave the augmentation out"),
    ],
)
def test_processes_that_cannot_be_augmented_refuse_with_a_remedy(process: Process, remedy: str) -> None:
    network = UNet((1, 8, 8), width=8, times=process.network_times)
    with pytest.raises(ValueError, match=remedy):
        Denoising((1, 8, 8), 0, network=network, process=process, augmentation=NonLeaking())


def test_a_network_that_takes_no_labels_is_refused() -> None:
    class Plain(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return x

    assert model(None, Plain()).augmentation is None
    with pytest.raises(ValueError, match="Plain takes none: use network=unet, dit or ddpm_pp"):
        model(NonLeaking(), Plain())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p": 1.5}, r"augmentation\.p is 1\.5; it must be from 0 \(never\) to 1"),
        ({"y_flip": -0.5}, r"augmentation\.y_flip is -0\.5"),
        ({"rotation": 2.0}, r"augmentation\.rotation is 2\.0"),
        ({"scale": -0.1}, r"augmentation\.scale is -0\.1; it must be from 0 \(none\) to 1"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NonLeaking(**settings)
