"""CLIP and T5 as the library transformers writes them, in folders and on the Hub, which other people may have
made: checked before they are loaded, from safetensors files, without executing anything of theirs.
"""

import hashlib
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from genbench.records.foreign_models import (
    check_address,
    check_no_code,
    explained,
    quiet,
    read_json,
    unavailable,
)
from genbench.runtime.downloads import may_download

__all__ = [
    "CLIP",
    "CLIP_TEXT",
    "T5",
    "Layout",
    "check_tokens",
    "load_model",
    "load_tokenizer",
    "tokenizer_hash",
]

INSTALL = 'pip install "genbench[text]"'
CONFIG = "config.json"
PROBE = "Fête:\u3000A  CAT'S 7 ﬁlms"
"""A text that shows how a tokenizer treats case, accents, signs, digits and white space."""
PROBED = 2_000  # words of a vocabulary that are tokenized, which takes tenths of a second


class Layout(NamedTuple):
    """A kind of model: its class and that of its tokenizer in transformers, and what config.json calls it."""

    model: str
    tokenizer: str
    types: tuple[str, ...]
    words: tuple[str, ...]
    """Files of the tokenizer, any of which is enough."""
    special: tuple[str, ...]
    """Special tokens without which no text is tokenized."""


CLIP_WORDS, CLIP_SPECIAL = ("tokenizer.json", "vocab.json"), ("bos_token", "eos_token", "unk_token")
CLIP_TEXT = Layout("CLIPTextModel", "CLIPTokenizer", ("clip", "clip_text_model"), CLIP_WORDS, CLIP_SPECIAL)
"""The text model of CLIP, alone or in a folder of the whole."""
CLIP = Layout("CLIPModel", "CLIPTokenizer", ("clip",), CLIP_WORDS, CLIP_SPECIAL)
"""CLIP with both towers and their projections."""
T5 = Layout("T5EncoderModel", "T5Tokenizer", ("t5",), ("tokenizer.json", "spiece.model"), ("eos_token",))
"""The encoder of T5, alone or in a folder of the whole."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")


def load_model(layout: Layout, path: str, revision: str | None, *, key: str) -> Any:  # noqa: ANN401
    """Load a model in float32 from a folder, or from a name on the Hub where downloads are allowed or it is
    cached; in evaluation mode.

    key: the group of the settings path and revision, for messages. Raises ValueError where the folder is none
    of this layout, where it would execute something, or where weights are missing: none are drawn at random.
    """
    check_address(path, revision, key=key, index=CONFIG, remedy="a folder that save_pretrained wrote")
    library = transformers(key)
    with quiet({"transformers": library}):
        folder = checked(layout, path, revision, key=key)
        with explained(f"the {layout.model} of {key}.path={path} cannot be loaded"):
            model, found = getattr(library, layout.model).from_pretrained(
                path,
                revision=revision or "main",
                local_files_only=not may_download(),
                use_safetensors=True,
                output_loading_info=True,
                dtype="float32",
                attn_implementation="eager",  # whose masks are made without a question to the device
            )
        if missing := sorted({*found["missing_keys"], *found["mismatched_keys"]}):
            raise ValueError(
                f"{folder} lacks {len(missing)} weights of {layout.model}, the first {missing[0]}: give a "
                "whole one"
            )
    return model.eval()


def load_tokenizer(layout: Layout, path: str, revision: str | None, *, key: str) -> Any:  # noqa: ANN401
    """Load the tokenizer that lies beside a model's weights; arguments and errors are those of `load_model`,
    and ValueError where there is none.
    """
    library = transformers(key)
    with quiet({"transformers": library}):
        folder = checked(layout, path, revision, key=key)
        check_special(layout, folder)
        with explained(f"the tokenizer of {key}.path={path} cannot be loaded"):
            tokenizer = getattr(library, layout.tokenizer).from_pretrained(
                path, revision=revision or "main", local_files_only=not may_download()
            )
    if not any((folder / name).is_file() for name in layout.words):
        raise ValueError(
            f"{folder} holds no tokenizer ({' or '.join(layout.words)}): copy the files of the model's own "
            "there"
        )
    return tokenizer


def check_tokens(tokenizer: Any, most: int, path: str, *, key: str) -> None:  # noqa: ANN401
    """Raise ValueError unless all tokens of a tokenizer have numbers below `most`, of which the model has a
    vector each: a larger one would end the process on a GPU. path, key: as for `load_model`.
    """
    known = max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=0))  # there may be gaps
    if known > most:
        raise ValueError(
            f"the tokenizer in {key}.path={path} has {known:,} tokens, and the model knows {most:,}: put "
            "the model's own tokenizer there"
        )


def check_special(layout: Layout, folder: Path) -> None:
    """Raise ValueError where a file beside a tokenizer says that it lacks a special token, such as that at
    the end of a text, which the library would report in words of its own.
    """
    for file in (folder / name for name in SETTINGS):
        found = read_json(file) if file.is_file() else {}
        if missing := [token for token in layout.special if token in found and found[token] is None]:
            raise ValueError(
                f"{file} has null as {missing[0]}, which {layout.tokenizer} needs: copy the model's own file "
                "there"
            )


def tokenizer_hash(tokenizers: Sequence[Any]) -> int:
    """Sum up tokenizers of transformers by what they do: their vocabularies, and the tokens that they make of
    words of these, two at a time, and of a text. So it is the same in whatever files they lie, and by
    whatever version of the library: a whole number from -2^63 to 2^63 - 1, 0 of none.
    """
    if not tokenizers:
        return 0
    digest = hashlib.sha256()
    for tokenizer in tokenizers:
        vocabulary = sorted(tokenizer.get_vocab().items())
        words = [word for word, _ in vocabulary[:: 1 + len(vocabulary) // PROBED]]
        tokens = tokenizer([PROBE, *map("".join, pairwise(words))], verbose=False)["input_ids"]
        special = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id]
        digest.update(json.dumps([vocabulary, special, tokens]).encode())
    return int.from_bytes(digest.digest()[:8], "big", signed=True)


def transformers(key: str) -> ModuleType:
    """Import the library. Raises ValueError where it is not installed."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"{key}.path needs the library transformers: {INSTALL}") from error
    return transformers


def checked(layout: Layout, path: str, revision: str | None, *, key: str) -> Path:
    """Return the folder of a model: the one at `path`, else that of the Hub's cache, to which its
    configuration is fetched where that is allowed. Raises ValueError where it holds code or another kind of
    model.
    """
    with explained(unavailable(path, key)):
        folder = Path(path) if Path(path).is_dir() else fetched(transformers(key), path, revision)
    check_no_code(folder)
    kind = read_json(folder / CONFIG).get("model_type")
    if kind not in layout.types:
        raise ValueError(
            f"{folder / CONFIG} describes a model of the type {kind!r}; it must be "
            f"{' or '.join(layout.types)}"
        )
    return folder


def fetched(library: ModuleType, path: str, revision: str | None) -> Path:
    """Return the folder of a name in the Hub's cache, with its configuration in it."""
    asked = {"revision": revision or "main", "local_files_only": not may_download()}
    return Path(library.utils.cached_file(path, CONFIG, **asked)).parent
