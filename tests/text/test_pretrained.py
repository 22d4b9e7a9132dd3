"""Frozen text encoders: the hidden states of transformers' own models, which no padding, no training and no
checkpoint changes, from folders that execute nothing.
"""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from genbench.contract.fake_cuda import CUDA, moved, reading
from genbench.runtime.precision import BFloat16
from genbench.text.condition import Condition
from genbench.text.pretrained import ClipText, Published, T5Text
from tests import text_models

transformers = pytest.importorskip("transformers")

KINDS: dict[str, Callable[..., Published]] = {"clip": ClipText, "t5": T5Text}
WRITERS = {"clip": text_models.clip, "t5": text_models.t5}
TEXTS = ["a cat", "dog", "", "one above two"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("models")
    return {name: write(top / name) for name, write in WRITERS.items()}


@pytest.fixture(scope="module", params=KINDS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def encoder(name: str, folders: dict[str, Path]) -> Published:
    torch.manual_seed(0)
    return KINDS[name](path=str(folders[name]), width=12)


def theirs(name: str, folder: Path, text: str) -> tuple[Tensor, Tensor]:
    """The last hidden states of one text by the library alone, (L, M), and CLIP's own pooled vector."""
    if name == "clip":
        kind, words = transformers.CLIPTextModel, transformers.CLIPTokenizer
    else:
        kind, words = transformers.T5EncoderModel, transformers.T5Tokenizer
    with torch.no_grad():
        model = kind.from_pretrained(folder).eval()
        answer = model(**words.from_pretrained(folder)([text], return_tensors="pt"))
    hidden = answer.last_hidden_state[0]
    return hidden, answer.pooler_output[0] if name == "clip" else hidden.mean(dim=0)


@pytest.mark.parametrize("text", TEXTS)
def test_hidden_states_are_those_of_the_library(
    encoder: Published, name: str, folders: dict[str, Path], text: str
) -> None:
    condition = encoder.condition(TEXTS)[TEXTS.index(text) : TEXTS.index(text) + 1]
    ids, mask = encoder.framed(condition.tokens, condition.mask)
    hidden, pooled = theirs(name, folders[name], text)
    found = encoder.published(ids, mask)[:, : len(hidden)]
    assert int(mask.sum()) == len(hidden)
    torch.testing.assert_close(found[0], hidden, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.pooled(found, mask[:, : len(hidden)])[0], pooled, rtol=1e-5, atol=1e-6)


def test_padding_and_the_other_texts_of_a_batch_change_nothing(encoder: Published) -> None:
    together = encoder(encoder.condition(TEXTS))
    longer = encoder.condition(TEXTS)
    more = torch.zeros(len(TEXTS), 3, dtype=torch.int64)
    wide = Condition(
        torch.cat([longer.tokens, more], 1)[:, : encoder.length],
        torch.cat([longer.mask, more > 0], 1)[:, : encoder.length],
    )
    for k, text in enumerate(TEXTS):
        alone = encoder(encoder.condition([text]))
        length = int(alone.mask.sum())
        assert int(together.mask[k].sum()) == length
        for batch in (together, encoder(wide)):
            torch.testing.assert_close(batch.hidden[k, :length], alone.hidden[0, :length])
            torch.testing.assert_close(batch.pooled[k], alone.pooled[0])


def test_the_null_condition_is_the_empty_text(encoder: Published) -> None:
    y = encoder(encoder.condition(TEXTS))
    assert bool(y.mask.any(dim=1).all())
    torch.testing.assert_close(y.null().pooled[0], y.pooled[TEXTS.index("")])
    assert not encoder.condition(["", ""]).mask.any()


def test_a_text_that_is_too_long_is_refused_and_never_cut(encoder: Published) -> None:
    encoder.length = min(encoder.length, 14)
    encoder.condition(["a" * (encoder.length - 1)])
    with pytest.raises(ValueError, match=f"takes at most {encoder.length}: shorten it"):
        encoder.condition(["fine", "a" * 40])


def test_clip_has_as_many_tokens_as_positions_but_two(folders: dict[str, Path]) -> None:
    made = ClipText(path=str(folders["clip"]))
    assert made.length == text_models.POSITIONS - 2
    with pytest.raises(ValueError, match=r"has 15 tokens, and text=clip takes at most 14: shorten it$"):
        made.condition(["a" * 15])


def test_words_that_t5_does_not_know_are_named(folders: dict[str, Path]) -> None:
    assert T5Text(path=str(folders["t5"])).unknown("a 7 above 3 and 7") == ["7", "3"]


def test_a_layer_behind_the_model_is_trained_and_nothing_else(encoder: Published) -> None:
    encoder.train()
    before = [p.clone() for p in encoder.published.parameters()]
    optimizer = torch.optim.SGD(encoder.learned(), lr=0.1)
    encoder(encoder.condition(TEXTS)).pooled.sum().backward()
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(encoder.published.parameters(), before, strict=True))
    assert not any(p.requires_grad for p in encoder.published.parameters())
    assert not any(module.training for module in encoder.published.modules())
    assert all(p.grad is not None for p in encoder.learned())


def test_a_state_holds_the_layer_and_a_fingerprint_that_other_weights_do_not_have(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    first = ClipText(path=str(folders["clip"]))
    state = first.state_dict()
    assert {name.partition(".")[0] for name in state} == {"published", "norm", "project"}
    assert [name for name in state if name.startswith("published")] == ["published.fingerprint"]
    twin = ClipText(path=str(folders["clip"]))
    twin.load_state_dict(state)
    condition = first.condition(TEXTS)
    assert torch.equal(first(condition).hidden, twin(condition).hidden)
    other = ClipText(path=str(text_models.clip(tmp_path / "other", seed=1)))
    with pytest.raises(ValueError, match="text encoder's weights are not those that the run was made with"):
        other.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Missing key.*project\.weight"):
        twin.load_state_dict({name: x for name, x in state.items() if name != "project.weight"})


def swapped(folder: Path) -> None:
    """Give two letters each other's number."""
    found = json.loads((folder / "tokenizer.json").read_text())
    vocab = found["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (folder / "tokenizer.json").write_text(json.dumps(found))


def merged(folder: Path) -> None:
    """Give a word of the vocabulary, which was made of two letters, to another pair of them."""
    found = json.loads((folder / "tokenizer.json").read_text())
    found["model"]["merges"] = [["a", "b"]]
    del found["model"]["vocab"]["z</w>"]
    found["model"]["vocab"]["ab"] = 2 * 26 - 1
    (folder / "tokenizer.json").write_text(json.dumps(found))


@pytest.mark.parametrize("change", [swapped, merged])
def test_the_state_of_another_tokenizer_is_refused(
    change: Callable[[Path], None], folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    state = ClipText(path=str(folder)).state_dict()
    change(folder)
    with pytest.raises(ValueError, match="tokenizer files are not those that the run was made with: restore"):
        ClipText(path=str(folder)).load_state_dict(state)


def test_the_state_is_the_same_in_whatever_files_the_tokenizer_lies(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    (folder / "tokenizer.json").write_text(json.dumps(json.loads((folder / "tokenizer.json").read_text())))
    rewritten("tokenizer_config.json", note="none")(folder)
    state = ClipText(path=str(folders["clip"])).state_dict()
    ClipText(path=str(folder)).load_state_dict(state)


def test_a_state_from_before_the_tokenizer_was_counted_is_loaded(folders: dict[str, Path]) -> None:
    found = ClipText(path=str(folders["clip"]))
    state = found.state_dict()
    name = "published.fingerprint"
    earlier = state | {name: state[name] - found.published.beside}
    found.load_state_dict(earlier)
    assert torch.equal(found.state_dict()[name], state[name])


@pytest.mark.parametrize("token", ["bos_token", "eos_token", "unk_token"])
def test_a_tokenizer_without_a_special_token_is_refused(
    token: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    rewritten("tokenizer_config.json", **{token: None})(folder)
    with pytest.raises(ValueError, match=f"config.json has null as {token}, which CLIPTokenizer needs: copy"):
        ClipText(path=str(folder))


def test_copies_share_the_weights_and_have_their_own_layer(encoder: Published) -> None:
    twin = copy.deepcopy(encoder)
    condition = encoder.condition(TEXTS)
    assert all(
        p is q for p, q in zip(encoder.published.parameters(), twin.published.parameters(), strict=True)
    )
    assert all(p is not q for p, q in zip(encoder.learned(), twin.learned(), strict=True))
    assert torch.equal(encoder(condition).hidden, twin(condition).hidden)


def test_the_text_model_is_found_in_a_folder_of_the_whole(tmp_path: Path, name: str) -> None:
    made = KINDS[name](path=str(WRITERS[name](tmp_path / name, whole=True)))
    assert tuple(made(made.condition(TEXTS)).pooled.shape) == (len(TEXTS), 128)


def test_in_bf16_it_answers_nearly_the_same_in_float32(encoder: Published) -> None:
    condition = encoder.condition(TEXTS)
    before = encoder(condition).hidden
    BFloat16().apply([encoder], torch.device("cpu"))
    after = encoder(condition).hidden
    assert after.dtype == torch.float32
    assert 0 < float((after - before).detach().abs().max()) < 0.1


def test_it_stays_on_a_gpu_and_reads_nothing_back(encoder: Published) -> None:
    condition = encoder.condition(TEXTS)
    with reading() as reads:
        tokens, mask = (torch.empty_like(x, device=CUDA) for x in (condition.tokens, condition.mask))
        answer = moved(encoder)(Condition(tokens, mask))  # type: ignore[arg-type]
    assert answer.hidden.device == CUDA
    assert reads.found == {}


def rewritten(name: str, **values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(found | values))

    return change


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def without_words(folder: Path) -> None:
    for word in ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json"):
        (folder / word).unlink()


CODE = "import pathlib\npathlib.Path('sprung').touch()\n"
ATTACKS: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda folder: (folder / "modeling.py").write_text(CODE),
        "modeling.py is code, which",
    ),
    (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        "adapter_config.json names weights of another place",
    ),
    (rewritten("config.json", auto_map={"AutoModel": "a.B"}), "config.json has auto_map"),
    (rewritten("config.json", model_type="t5"), "of the type 't5'; it must be clip or clip_text_model"),
    (rewritten("config.json", num_hidden_layers=3), "lacks 16 weights of CLIPTextModel, the first"),
    (rewritten("config.json", hidden_size=32), "cannot be loaded"),
    (rewritten("config.json", hidden_size="x"), "cannot be loaded"),
    (pickled, "cannot be loaded: .*safetensors"),
    (without_words, r"holds no tokenizer \(tokenizer.json or vocab.json\)"),
    (lambda folder: (folder / "model.safetensors").write_bytes(b"{"), "cannot be loaded"),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json is damaged"),
    (lambda folder: (folder / "config.json").unlink(), "holds no config.json: give a folder"),
    (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot be loaded"),
    (shutil.rmtree, "which is not a folder"),
]


@pytest.mark.parametrize(("attack", "says"), ATTACKS, ids=range(len(ATTACKS)))
def test_a_folder_that_would_execute_something_or_is_damaged_is_refused(
    attack: Callable[[Path], object],
    says: str,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    attack(folder)
    with pytest.raises(ValueError, match=says):
        ClipText(path=str(folder))
    assert not Path("sprung").exists()
    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_of_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = text_models.t5(tmp_path / "t5", letters=[*text_models.LETTERS, *"0123456789"])
    with pytest.raises(ValueError, match="has 40 tokens, and the model knows 32"):
        T5Text(path=str(folder))


def test_a_tokenizer_with_a_token_that_the_model_has_no_vector_of_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folders["clip"], tmp_path / "clip"))
    found = json.loads((folder / "tokenizer.json").read_text())
    found["model"]["vocab"]["a</w>"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match="has 5,001 tokens, and the model knows 54"):
        ClipText(path=str(folder))


def test_a_name_on_the_hub_is_read_from_its_cache_alone_unless_downloads_are_allowed(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    asked: list[dict[str, Any]] = []

    def cached(name: str, file: str, **settings: Any) -> str:
        asked.append(settings)
        raise OSError("not there")

    monkeypatch.setattr(transformers.utils, "cached_file", cached)
    with pytest.raises(ValueError, match="the Hub does not give it; a recorded configuration"):
        ClipText(path="somebody/clip", revision="v1")
    assert asked == [{"revision": "v1", "local_files_only": True}]
