"""Rules of losses and gradients, within one step of training."""

import copy

import torch
from torch import Tensor

from genbench.contract.candidate import Candidate, NotApplicable, expect, train_a_little, train_step
from genbench.generator import Generator, Y
from genbench.runtime.global_batch import Part, at_work

__all__ = [
    "each_phase_has_a_finite_scalar_float32_loss_with_detached_terms",
    "gradient_reaches_every_parameter_of_its_phase",
    "the_loss_of_each_phase_falls_on_a_tiny_set",
    "two_parts_of_a_batch_have_its_loss_and_its_gradients",
]


def each_phase_has_a_finite_scalar_float32_loss_with_detached_terms(candidate: Candidate) -> None:
    """The loss of each phase is one finite float32 number of shape (); its terms are numbers of shape () that
    carry no gradient."""
    model, (x, y) = candidate.fresh(), candidate.batch()
    for phase in model.phases:
        torch.manual_seed(0)
        total, terms = model.loss(x, y, phase=phase)
        here = f"in phase {phase!r}"
        expect(total.shape == (), f"a total of shape () {here}", f"shape {tuple(total.shape)}")
        expect(total.dtype == torch.float32, f"a total in float32 {here}", total.dtype)
        expect(bool(total.isfinite()), f"a finite total {here}", float(total.detach()))
        for name, term in terms.items():
            expect(term.shape == (), f"the term {name!r} of shape () {here}", f"shape {tuple(term.shape)}")
            expect(not term.requires_grad, f"the term {name!r} detached {here}", "one that carries gradient")


def gradient_reaches_every_parameter_of_its_phase(candidate: Candidate) -> None:
    """The loss of a phase gives every parameter of `phase_parameters(phase)` a gradient that is not all zero,
    after three steps of training and on a batch with every class."""
    model = train_a_little(candidate.fresh())
    x, y = candidate.batch(max(model.num_classes, 10))
    if model.num_classes:
        y = torch.arange(len(x)) % model.num_classes
    for phase in model.phases:
        model.zero_grad()
        torch.manual_seed(0)
        model.loss(x, y, phase=phase).total.backward()
        mine = {id(p) for p in model.phase_parameters(phase)}
        found = {name: p.grad for name, p in model.named_parameters() if id(p) in mine}
        none = [name for name, grad in found.items() if grad is None]
        expect(none == [], f"a gradient of each parameter of phase {phase!r}", f"none of {shown(none)}")
        zero = [name for name, grad in found.items() if grad is not None and not bool(grad.abs().sum() > 0)]
        expect(zero == [], f"gradients that are not all 0 in phase {phase!r}", f"0 or NaN of {shown(zero)}")


def two_parts_of_a_batch_have_its_loss_and_its_gradients(candidate: Candidate) -> None:
    """A batch that is split in two has the loss and the gradients of the whole batch, so that neither
    trainer.accumulate nor trainer.devices changes a result: draw by `genbench.runtime.global_batch`."""
    if candidate.batchwise:
        raise NotApplicable("the loss of an image depends on the other images of its batch")
    model = train_a_little(candidate.fresh())  # what the first batch sets is set
    for phase in dict.fromkeys(model.phases):
        batch = candidate.batch()
        whole, of_whole = gradients(model, batch, phase, [Part(0, 1)])
        parts, of_parts = gradients(model, batch, phase, [Part(0, 2), Part(1, 2)])
        near = abs(parts - whole) <= max(1e-5 * abs(whole), 1e-6)
        expect(
            near, f"the loss {whole:.7g} of the whole batch in phase {phase!r}", f"{parts:.7g} in two parts"
        )
        # float32 sums in another order, through as many layers as the deepest network has
        scale = 1e-5 * float(of_whole.abs().max())
        near = torch.allclose(of_parts, of_whole, rtol=2e-3, atol=scale)
        apart = f"a difference of {float((of_parts - of_whole).abs().max()):.3g} in two parts"
        expect(near, f"the gradients of the whole batch in phase {phase!r}", apart)


def gradients(
    model: Generator, batch: tuple[Tensor, Y], phase: str, parts: list[Part]
) -> tuple[float, Tensor]:
    """Return the mean loss of a batch in its parts, and the gradient of all weights of a phase, (P,)."""
    (x, y), found, model = batch, 0.0, copy.deepcopy(model)
    for part in parts:
        once = copy.deepcopy(model)  # each part meets the state before the step, as in another process
        mine = slice(part.index * len(x) // part.of, (part.index + 1) * len(x) // part.of)
        torch.manual_seed(7)
        with at_work(part):
            loss = once.loss(x[mine], None if y is None else y[mine], phase=phase, step=5)
        (loss.total / part.of).backward()
        found += float(loss.total.detach()) / part.of
        for p, q in zip(model.phase_parameters(phase), once.phase_parameters(phase), strict=True):
            if q.grad is not None:
                p.grad = q.grad if p.grad is None else p.grad + q.grad
    trained = model.phase_parameters(phase)
    return found, torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in trained])


def the_loss_of_each_phase_falls_on_a_tiny_set(candidate: Candidate) -> None:
    """The loss of each phase falls by 3 % of its size within 60 steps of Adam (learning rate 0.002) on one
    batch of 6 images: the mean of the last ten steps against that of the first ten, each phase by itself."""
    model = candidate.fresh()
    for phase in dict.fromkeys(model.phases):
        # By itself, since in a game one gains what the other loses; a stage goes on from the last one.
        alone = (model if model.stages else copy.deepcopy(model)).train()
        optimizer = torch.optim.Adam(alone.phase_parameters(phase), lr=2e-3)
        losses = [train_step(alone, phase, step, optimizer) for step in range(60)]
        first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
        most = first - 0.03 * abs(first)
        wanted = f"a loss below {most:.5g} in phase {phase!r}, 3 % under the {first:.5g} of the first steps"
        expect(last < most, wanted, f"{last:.5g}")


def shown(names: list[str]) -> str:
    """Return the first names of a list as text, and how many more there are."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more
