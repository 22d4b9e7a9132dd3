"""Rules of a GPU, without one: no operation mixes devices, and what is read back to the host is stated.

torch's fake tensors compute shapes and devices only. A model's parameters and buffers become fake CUDA
tensors; plain attributes remain as they are, so that a tensor that should be a buffer mixes devices.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorDeviceMismatchError, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from genbench.contract.candidate import Broken, Candidate, NotApplicable, expect
from genbench.generator import (
    Condition,
    Decodes,
    Edits,
    ForwardProcess,
    Generator,
    Inpaints,
    Latent,
    Likelihood,
    Trajectory,
    Y,
)

__all__ = [
    "CUDA",
    "ReadBacks",
    "images",
    "moved",
    "no_operation_mixes_devices",
    "of_training",
    "of_uses",
    "reading",
    "training_and_sampling_read_nothing_back",
    "unstated_reads",
]

BATCH, CUDA = 4, torch.device("cuda", 0)

STATED = {
    "diffusion.spacing.NoiseSpacing.times": 4,  # two for each grid; varying an image lays two grids
    "diffusion.sampler.Sampler.path": 2,  # a cascade has two stages
    "diffusion.fast_samplers.TwoStep.walk": 2,
    "diffusion.fast_samplers.HeunSampler.walk": 2,
    "diffusion.fast_samplers.UniPC.walk": 2,
    "diffusion.density.ProbabilityFlow.grid": 2,
    "families.flow.finite": 2,  # one each way: a flow that has lost its inverse must not go on unseen
}
"""Read-backs of a call that samples or measures, at most, by the function of genbench that reads."""
STATED_OF_LOSSES = {
    "diffusion.pairing.OptimalTransport.pairs": 1,  # the assignment is solved on the host
    "flows.actnorm.ActNorm.initialise": 1,  # of each layer, at the first batch
    "families.flow.NormalizingFlow.check_inverse": 1,  # each model.check_every steps
}
"""Those of a loss; of a step that does no more than the others, the first alone."""
A_STEP = ("diffusion.ode.Adaptive.walk",)
"""The function that must know a number at each step: an error that sets the next step."""


def no_operation_mixes_devices(candidate: Candidate) -> None:
    """Training steps and all that a trained model is asked for run on a GPU: whatever meets the images is a
    parameter, a buffer, or made on their device. Checked on tensors without numbers; no GPU is needed."""
    try:
        unstated_reads(candidate.fresh())
    except FakeTensorDeviceMismatchError as error:
        text = str(error).splitlines()[0]
        raise Broken(f"expected tensors of one device in each operation; got: {text}") from error


def training_and_sampling_read_nothing_back(candidate: Candidate) -> None:
    """Neither loss nor sample, log_prob, encode, .. reads a number off the GPU (by item(), bool() or .cpu()),
    which would stall it at each step; what genbench's own parts read is left out."""
    try:
        found = unstated_reads(candidate.fresh())
    except FakeTensorDeviceMismatchError:
        raise NotApplicable("operations mix devices, which is another rule") from None
    came = "; ".join(f"{n} by {who} in {what}" for (what, who), n in found.items())
    expect(found == {}, "no number that is read back", came)


def unstated_reads(model: Generator, uses: Sequence[str] = ()) -> dict[tuple[str, str], int]:
    """Count the read-backs beyond the stated ones, in two training steps of all phases and every use.

    uses: names of the uses, such as "sample", by default all. Returns (call, function that reads) -> number.
    Raises FakeTensorDeviceMismatchError where an operation mixes devices, Broken where a result is elsewhere.
    """
    with reading() as reads:
        return {**of_training(model, reads), **of_uses(model, reads, uses)}


def of_training(model: Generator, reads: "ReadBacks") -> dict[tuple[str, str], int]:
    """Count the unstated read-backs of the losses of two steps, by the loss and the function that reads."""
    x, y = images(moved(model).train())
    layers, found = len(list(model.modules())), dict[tuple[str, str], int]()
    first = {who: n * layers for who, n in STATED_OF_LOSSES.items()}
    usual = dict(list(STATED_OF_LOSSES.items())[:1])
    for step, stated in ((0, first), (1, usual)):
        for phase in dict.fromkeys(model.phases):
            what, reads.found = f"loss of {phase}, step {step}", Counter()
            total = model.loss(x, y, phase=phase, step=step).total
            expect(total.device == CUDA, f"a total on {CUDA} from {what}", total.device)
            found |= beyond(reads, stated, what)
    return found


def of_uses(model: Generator, reads: "ReadBacks", uses: Sequence[str]) -> dict[tuple[str, str], int]:
    """Count the unstated read-backs of the uses of a moved model, by the use and the function that reads."""
    found = dict[tuple[str, str], int]()
    for what, call in calls(model.eval()).items():
        if not uses or what in uses:
            reads.found = Counter()
            with torch.no_grad():
                result = call()
            expect(result.device == CUDA, f"a result on {CUDA} from {what}", result.device)
            found |= beyond(reads, STATED, what)
    return found


def beyond(reads: "ReadBacks", stated: Mapping[str, int], what: str) -> dict[tuple[str, str], int]:
    """Return the read-backs of a call that are not stated, by the call and the function that reads."""
    return {(what, who): n for who, n in reads.found.items() if who not in A_STEP and n > stated.get(who, 0)}


def calls(model: Generator) -> dict[str, Callable[[], Tensor]]:
    """Return all that a trained model is asked for, as calls by name, on fake images."""
    x, y = images(model)
    found: dict[str, Callable[[], Tensor]] = {"sample": lambda: model.sample(BATCH, y)}
    if isinstance(model, Likelihood):
        found["log_prob"] = lambda: model.log_prob(x, y)
    if isinstance(model, Decodes):
        found["decode"] = lambda: model.decode(model.prior(BATCH, y), y)
    if isinstance(model, Latent):
        found["encode"] = lambda: model.encode(x, y)
        found["reconstruct"] = lambda: model.reconstruct(x, y)
    if isinstance(model, Trajectory):
        found["trajectory"] = lambda: model.trajectory(BATCH, y, frames=3)
    if isinstance(model, ForwardProcess):
        found["forward_process"] = lambda: model.forward_process(x, frames=3)
    if isinstance(model, Inpaints):
        mask = torch.ones(BATCH, 1, *model.shape[1:], dtype=torch.bool, device=CUDA)
        found["inpaint"] = lambda: model.inpaint(x, mask, y)
    if isinstance(model, Edits):
        found["vary"] = lambda: model.vary(x, y, strength=0.5)
    return found


def moved(model: Generator) -> Generator:
    """Return the model with its parameters and buffers, and nothing else, on the fake device."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is not None:
                fake = torch.empty_like(p, device=CUDA)
                module._parameters[name] = nn.Parameter(fake, requires_grad=p.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device=CUDA)
    return model


def images(model: Generator) -> tuple[Tensor, Y]:
    """Return fake images (4, C, H, W) and labels (4,), texts or None on the fake device."""
    y: Y = torch.empty(BATCH, dtype=torch.int64, device=CUDA) if model.num_classes else None
    if model.takes_text:
        tokens = torch.empty(BATCH, 3, dtype=torch.int64, device=CUDA)
        y = Condition(tokens, torch.empty(BATCH, 3, dtype=torch.bool, device=CUDA))
    return torch.empty(BATCH, *model.shape, device=CUDA), y


class ReadBacks(TorchDispatchMode):
    """Counts what is read off CUDA tensors, by who reads, and answers with some number: the call goes on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's has no annotations
        self.found: Counter[str] = Counter()
        self.products: set[torch.dtype] = set()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        aten, kwargs = torch.ops.aten, kwargs or {}
        if func is aten._local_scalar_dense.default:
            self.note(args[0])
            return args[0].dtype == torch.bool or 0.25
        if func is aten.index.Tensor and args[1][0] is not None and args[1][0].dtype == torch.bool:
            self.note(args[0])  # the host must know how many are True
            return args[0]
        if func is aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            self.note(args[0])
        out = func(*args, **kwargs)
        if func in (aten.convolution.default, aten.mm.default, aten.addmm.default):
            self.products.add(out.dtype)
        return out

    def note(self, x: Tensor) -> None:
        """Count a read-back of a tensor, if it is on the fake device."""
        if x.device.type == "cuda":
            self.found[reader()] += 1

    def to_list(self, x: Tensor) -> list[float]:
        """Tensor.tolist in one read-back, where fake tensors are asked number by number."""
        self.note(x)
        return [1.0 + k for k in range(len(x))]


def reader() -> str:
    """Return the name of the function at work that is neither torch's nor of this file."""
    frame = inspect.currentframe()
    while frame is not None and is_between(frame.f_globals["__name__"]):
        frame = frame.f_back
    assert frame is not None
    return f"{frame.f_globals['__name__'].removeprefix('genbench.')}.{frame.f_code.co_qualname}"


def is_between(module: str) -> bool:
    """Return True for a module that stands between a read-back and the function that asked for it."""
    return module == __name__ or module.partition(".")[0] == "torch"


@contextmanager
def reading() -> Iterator[ReadBacks]:
    """Compute with fake tensors and count read-backs inside the block.

    Replaced are calls that a driver of CUDA would be needed for: backward passes, states of random numbers.
    """
    mode = ReadBacks()

    def slopes(
        outputs: Tensor,
        inputs: Tensor | Sequence[Tensor],
        grad_outputs: object = None,
        retain_graph: object = None,
        create_graph: object = False,
        only_inputs: object = True,
        allow_unused: object = None,
    ) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(x) for x in ([inputs] if isinstance(inputs, Tensor) else inputs))

    with ExitStack() as stack:
        stack.enter_context(patch.object(torch.autograd, "grad", slopes))
        stack.enter_context(patch.object(torch.random, "fork_rng", lambda devices=None: nullcontext()))
        stack.enter_context(patch.object(FakeTensor, "tolist", lambda x: mode.to_list(x)))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(mode)
        yield mode
