"""Tiny CLIP and T5 with random weights, of the true layout, made and written by transformers itself."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

__all__ = ["LETTERS", "clip", "clip_words", "t5"]

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
POSITIONS = 16
VOCABULARY = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
TEXT_SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": len(VOCABULARY) - 2,
    "eos_token_id": len(VOCABULARY) - 1,
}


def library() -> Any:
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()
    return transformers


def clip_words(folder: Path, *, most: int = POSITIONS) -> Any:
    """CLIP's tokenizer, of letters alone, written into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(VOCABULARY)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = library().CLIPTokenizer.from_pretrained(str(folder), model_max_length=most)
    tokenizer.save_pretrained(folder)
    return tokenizer


def clip(folder: Path, *, whole: bool = False, seed: int = 0) -> Path:
    """The text model of CLIP with its tokenizer, or both towers."""
    transformers = library()
    clip_words(folder)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if whole:
            sizes = {**vision, "image_size": 16, "patch_size": 8}
            config = transformers.CLIPConfig(text_config=TEXT_SIZES, vision_config=sizes, projection_dim=8)
            model = transformers.CLIPModel(config)
        else:
            model = transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT_SIZES))
    model.save_pretrained(folder)
    return folder


def t5(folder: Path, *, whole: bool = False, letters: Sequence[str] = LETTERS) -> Path:
    """The encoder of T5 with its tokenizer, or the whole model; characters but lower letters are unknown."""
    transformers = library()
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -2.0), ("\u2581", -2.0), *((x, -3.0) for x in letters)]
    transformers.T5Tokenizer(vocab=pieces, extra_ids=0).save_pretrained(folder)
    sizes = {"vocab_size": 32, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind = transformers.T5ForConditionalGeneration if whole else transformers.T5EncoderModel
        kind(transformers.T5Config(**sizes)).save_pretrained(folder)
    return folder
