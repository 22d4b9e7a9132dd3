"""Text encoders with published weights, CLIP and T5, which are frozen; a layer behind them is trained."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genbench.probability.counts import MOST_CHANNELS, check_count
from genbench.records.transformer_models import (
    CLIP_TEXT,
    T5,
    Layout,
    check_tokens,
    load_model,
    load_tokenizer,
    tokenizer_hash,
)
from genbench.runtime.frozen_weights import FrozenWeights
from genbench.text.condition import Encoding
from genbench.text.encoder import TextEncoder

__all__ = ["ClipText", "PublishedText", "T5Text"]


class PublishedText(FrozenWeights):
    """A text model of the library transformers, frozen: ids (B, L), mask (B, L) bool -> hidden (B, L, M).

    masked: whether it is given the mask; a causal model needs none, since what stands before padding does not
    see it. words: a hash of its tokenizer, which is part of the fingerprint. Computed without gradients.
    """

    origin = "text encoder's weights"
    companion = "text encoder's tokenizer files"

    def __init__(self, model: nn.Module, *, masked: bool, words: int = 0) -> None:
        super().__init__()
        self.model, self.masked = model, masked
        self.freeze(beside=words)

    @torch.no_grad()
    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        answer = self.model(input_ids=ids, attention_mask=mask.long() if self.masked else None)
        hidden: Tensor = answer.last_hidden_state
        return hidden


class Published(TextEncoder):
    """hidden = W norm(h) + b, h the last hidden states of a frozen model; abstract.

    path: a folder that `save_pretrained` wrote, or USER/NAME on the Hub, of a `revision` or the newest one,
    with the tokenizer beside the weights. width: E; W (E, M), b (E,) and the norm are trained, and nothing
    else. The weights are read from safetensors files; nothing in the folder is executed.
    Raises ValueError where the folder is gone or another model's, and `load_state_dict` on the state of one
    with other weights or another tokenizer.
    """

    start: tuple[int, ...] = ()
    """Tokens that stand before each text."""

    def __init__(self, layout: Layout, *, path: str, revision: str | None, width: int, masked: bool) -> None:
        super().__init__()
        check_count("text.width", width, MOST_CHANNELS, usual=128)
        model = load_model(layout, path, revision, key="text")
        self.tokenizer = load_tokenizer(layout, path, revision, key="text")
        check_tokens(self.tokenizer, model.get_input_embeddings().num_embeddings, path, key="text")
        self.published = PublishedText(model, masked=masked, words=tokenizer_hash([self.tokenizer]))
        self.width = width
        self.end: int = self.tokenizer.eos_token_id
        self.sizes: Any = model.config
        self.norm = nn.LayerNorm(model.config.hidden_size)
        self.project = nn.Linear(model.config.hidden_size, width)

    def learned(self) -> list[nn.Parameter]:
        return [*self.norm.parameters(), *self.project.parameters()]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        found = self.tokenizer(list(texts), add_special_tokens=False, verbose=False) if texts else {}
        return [list(ids) for ids in found.get("input_ids", [])]

    def unknown(self, text: str) -> list[str]:
        words = list(dict.fromkeys(text.split()))
        none = self.tokenizer.unk_token_id
        return [word for word, ids in zip(words, self.tokens(words), strict=True) if none in ids]

    def encode(self, tokens: Tensor, mask: Tensor) -> Encoding:
        ids, mask = self.framed(tokens, mask)
        hidden = self.project(self.norm(self.published(ids, mask)))
        return Encoding(hidden, mask, self.pooled(hidden, mask))

    def framed(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Put the start before tokens (B, L) and the end after the last that stands: ids and mask, (B, L').

        An empty text is the start and the end alone, so that each row of the mask has a True.
        """
        first = tokens.new_tensor(self.start).expand(len(tokens), -1)
        ids = torch.cat([first, tokens, tokens.new_zeros(len(tokens), 1)], dim=1)
        ends = mask.sum(dim=1, keepdim=True) + len(self.start)  # (B, 1)
        return ids.scatter(1, ends, self.end), torch.arange(ids.shape[1], device=ids.device) <= ends

    @abstractmethod
    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the vector of each text, given those of its tokens: (B, L, E), (B, L) -> (B, E)."""


class ClipText(Published):
    """The text model of CLIP, whose pooled vector is that of the end of the text.

    hidden: after the model's last norm. length: two less than the positions of the model, 75 of 77, since the
    start and the end have one each. Arguments and errors: see Published.
    Source: Radford et al. 2021, Section 2.4; as a condition of images: Rombach et al. 2022.
    """

    name = "text=clip"

    def __init__(self, *, path: str, revision: str | None = None, width: int = 128) -> None:
        super().__init__(CLIP_TEXT, path=path, revision=revision, width=width, masked=False)
        self.start = (self.tokenizer.bos_token_id,)
        self.length = self.sizes.max_position_embeddings - 2

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        return hidden[torch.arange(len(hidden), device=hidden.device), mask.sum(dim=1) - 1]


class T5Text(Published):
    """The encoder of T5, whose pooled vector is the mean over the tokens of a text and its end.

    length: the most tokens of a text; the model has no limit of its own. Other arguments and errors: see
    Published. Raises ValueError on a length that cannot be.
    Source: Raffel et al. 2020; as a condition of images: Saharia et al. 2022 (Imagen), Section 2.1.
    """

    name = "text=t5"
    length_key = "text.length"

    def __init__(
        self, *, path: str, revision: str | None = None, width: int = 128, length: int = 128
    ) -> None:
        check_count("text.length", length, MOST_CHANNELS, usual=128)
        super().__init__(T5, path=path, revision=revision, width=width, masked=True)
        self.length = length

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        weights = mask[..., None].float()
        return (weights * hidden).sum(dim=1) / weights.sum(dim=1)
