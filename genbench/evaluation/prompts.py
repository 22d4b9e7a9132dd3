"""Classes and texts that images are drawn to: as commands ask for them, and captions of held-out images, to
which pictures are drawn.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genbench.data import ImageData
from genbench.data.image_files import shortened
from genbench.evaluation.samples import held_out_order
from genbench.generator import Generator, Y
from genbench.records.files import atomic_file
from genbench.records.texts import cleaned_prompt

__all__ = [
    "PROMPTS",
    "Asked",
    "asked",
    "classes_in_turn",
    "held_out_captions",
    "in_turn",
    "prompt_remarks",
    "write_prompts",
]

PROMPTS = "prompts.txt"
"""The file beside a run's grids that holds the captions of their rows."""
SOUGHT = 1000  # held-out captions among which different ones are looked for


class Asked(NamedTuple):
    """Condition of n images: y, n labels, n texts or None, and the texts for readers."""

    y: Y
    texts: Sequence[str] = ()
    """The text of each image; none where the model takes no text."""
    each: int = 1
    """Images that follow one another with the same prompt."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays beside the samples in an .npz file: `labels`, int64 [N], or `captions`, text [N]."""
        if isinstance(self.y, Tensor):
            return {"labels": self.y.cpu().numpy()}
        return {"captions": np.array(self.texts, np.str_)} if self.texts else {}

    def repeated(self, times: int) -> Y:
        """Return y `times` times, one whole after the other."""
        if self.y is None:
            return None
        return self.y[torch.arange(times * len(self.y), device=self.y.device) % len(self.y)]


def asked(
    model: Generator,
    n: int,
    count: str = "--n",
    *,
    label: int | None = None,
    prompts: Sequence[str] = (),
    device: torch.device,
) -> Asked:
    """Choose what n images are drawn from: one class, or all classes in turn where label is None; equally
    many images of each prompt, one prompt after the other; nothing for an unconditional model.
    count: the option that n is from, for messages.
    Raises ValueError on a label that the model does not know, on prompts of a model that takes none, on none
    for one of texts, on one that is too long, and where n is no multiple of their number.
    """
    if not model.takes_text:
        if prompts:
            instead = (
                f"give --label, from 0 to {model.num_classes - 1}" if model.num_classes else "leave it out"
            )
            raise ValueError(
                f"--prompt is {prompts[0]!r}, and this model takes no text: {instead}, or train with "
                "text=small on data with captions"
            )
        return Asked(labels(model, n, label, device))
    if label is not None:
        raise ValueError(f"--label is {label}, and this model takes texts: give --prompt TEXT instead")
    if not prompts:
        raise ValueError(
            'this model draws images of texts: give --prompt "TEXT" or --prompts FILE; --prompt "" draws '
            "without a text"
        )
    each, rest = divmod(n, len(prompts))
    if rest:
        fewer = f"{each * len(prompts)} or " if each else ""
        raise ValueError(
            f"{count} is {n}, and each of {len(prompts)} prompts gets equally many: "
            f"give {fewer}{(each + 1) * len(prompts)}"
        )
    texts = [cleaned_prompt(text, "--prompt") for text in prompts for _ in range(each)]
    return Asked(model.condition(texts).to(device), texts, each)


def labels(model: Generator, n: int, label: int | None, device: torch.device) -> Tensor | None:
    """Choose labels: one for all n images, or all classes in turn where label is None: (n,) int64 on
    `device`, None for an unconditional model. Raises ValueError on one that the model does not know.
    """
    if label is None:
        return classes_in_turn(model, n, device)
    if not model.num_classes:
        raise ValueError(
            f"--label is {label}, and this model knows none: leave it out, or train with conditional=true"
        )
    if not 0 <= label < model.num_classes:
        raise ValueError(f"--label is {label}; it must be from 0 to {model.num_classes - 1}")
    return torch.full((n,), label, device=device)


def classes_in_turn(model: Generator, n: int, device: torch.device) -> Tensor | None:
    """Return the labels 0, 1, .., K - 1, 0, 1, .. for a conditional model: (n,) int64 on `device`; None for
    an unconditional one. So the columns of a grid are classes.
    """
    return torch.arange(n, device=device) % model.num_classes if model.num_classes else None


def in_turn(model: Generator, n: int, texts: Sequence[str], device: torch.device) -> Asked:
    """Return what n images of a picture are drawn from: some texts in turn, for a model of text; else the
    classes in turn, or nothing.
    """
    if not model.takes_text:
        return Asked(classes_in_turn(model, n, device))
    each = [texts[number % len(texts)] for number in range(n)]
    return Asked(model.condition(each).to(device), each)


def held_out_captions(data: ImageData, n: int, seed: int) -> list[str]:
    """Return n different captions of held-out images, or as many as there are among the first thousand, in
    the order in which evaluations of this seed take them. Raises AssertionError where the data has none.
    """
    captions = data.test.captions
    assert captions is not None
    order = held_out_order(data, seed)[:SOUGHT].tolist()
    return list(islice(dict.fromkeys(captions[number] for number in order), n))


def prompt_remarks(model: Generator, prompts: Sequence[str]) -> list[str]:
    """Return remarks on prompts for the user: words that no training caption had, and empty prompts."""
    words = list(dict.fromkeys(word for text in prompts for word in model.unknown_words(text)))
    found = []
    if words:
        named = shortened(list(map(repr, words)))
        found.append(f"words of the prompts that no caption of the training had: {named}")
    if "" in prompts:
        found.append("an empty prompt draws images without a text, as guidance does for comparison")
    return found


def write_prompts(prompts: Sequence[str], path: Path) -> None:
    """Write prompts into a text file, one a line, as `genbench sample --prompts` reads it."""
    with atomic_file(path) as file:
        file.write("".join(f"{prompt}\n" for prompt in prompts).encode())
