"""Prompts: what is asked for, and what is refused; captions of held-out images in scores and pictures."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genbench
from genbench.cli.sampling_options import given_prompts
from genbench.data import ImageData, Split
from genbench.evaluation.animation import save_animation
from genbench.evaluation.gallery import Gallery
from genbench.evaluation.interpolation import Arcs, write_interpolations
from genbench.evaluation.prompts import (
    Asked,
    asked,
    held_out_captions,
    in_turn,
    prompt_remarks,
    write_prompts,
)
from genbench.evaluation.samples import Samples, held_out_order
from genbench.families.diffusion import Diffusion
from genbench.generator import Condition, Decodes, Loss
from genbench.metrics import Taken
from genbench.nn.unet import UNet
from genbench.records.texts import read_prompts
from genbench.runtime.context import Context
from genbench.runtime.progress import Progress
from genbench.text.small import SmallEncoder
from genbench.tracking import JsonLines
from genbench.tracking.moving_picture import last_frame
from genbench.training.step import read_captions
from tests.conftest import Command, Make
from tests.toys import toy_model, toy_process

CPU = torch.device("cpu")
QUIET = Progress(None)
CAPTIONS = [
    f"a {colour} {thing}" for colour in ("red", "blue") for thing in ("cat", "dog", "bird", "fish", "cow")
]


def text_model(captions: list[str]) -> Diffusion:
    """A DDPM on 4x4 images that knows the words of some captions, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet((1, 4, 4), width=8, blocks=1, patch=1, multipliers=[1], context=8)
        text = SmallEncoder(width=8, layers=1, heads=2, words=32, length=8)
        model = Diffusion((1, 4, 4), 0, network=network, process=toy_process(), text=text)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
    model.learn_words(captions)
    return model.eval()


@pytest.fixture
def model() -> Diffusion:
    return text_model(CAPTIONS)


@pytest.fixture
def data() -> ImageData:
    """20 images, two of each caption; every image of one grey level, by which it is known."""
    images = torch.arange(20, dtype=torch.uint8)[:, None, None, None].expand(20, 1, 4, 4).contiguous()
    split = Split(images, torch.arange(20) % 3, captions=[*CAPTIONS, *CAPTIONS])
    return ImageData("toy", split, split, ("a", "b", "c"), 3, False, "key", (1, 4, 4))


def same(condition: object, model: Diffusion, texts: list[str]) -> bool:
    assert isinstance(condition, Condition)
    expected = model.condition(texts)
    return torch.equal(condition.tokens, expected.tokens) and torch.equal(condition.mask, expected.mask)


def test_each_prompt_gets_equally_many_images_one_prompt_after_the_other(model: Diffusion) -> None:
    found = asked(model, 6, prompts=["a red cat", " a  blue dog "], device=CPU)
    assert found.texts == ["a red cat"] * 3 + ["a blue dog"] * 3
    assert found.each == 3
    assert same(found.y, model, list(found.texts))
    assert found.arrays["captions"].tolist() == found.texts
    assert same(found.repeated(2), model, [*found.texts, *found.texts])


def test_the_empty_prompt_is_the_null_condition(model: Diffusion) -> None:
    found = asked(model, 2, prompts=["", " \t"], device=CPU)
    assert isinstance(found.y, Condition)
    assert not found.y.mask.any()
    assert prompt_remarks(model, ["", "a red cat"]) == [
        "an empty prompt draws images without a text, as guidance does for comparison"
    ]


def test_unknown_words_are_named_once_and_not_refused(model: Diffusion) -> None:
    asked(model, 1, prompts=["a zebra"], device=CPU)
    (remark,) = prompt_remarks(model, ["a zebra", "A red zebra, \x1b"])
    assert remark == "words of the prompts that no caption of the training had: 'zebra', ',', '\\x1b'"


@pytest.mark.parametrize(
    ("n", "label", "prompts", "message"),
    [
        (4, None, [], 'give --prompt "TEXT" or --prompts FILE'),
        (4, 2, [], "--label is 2, and this model takes texts: give --prompt TEXT instead"),
        (4, None, ["a"] * 3, "--n is 4, and each of 3 prompts gets equally many: give 3 or 6"),
        (2, None, ["a"] * 3, "--n is 2, and each of 3 prompts gets equally many: give 3"),
        (1, None, ["a " * 9], "has 9 tokens, and text=small takes at most 8"),
        (1, None, ["x" * 10_001], "--prompt: the prompt has 10,001 characters, more than the 10,000"),
        (1, None, ["a\x1b[31mb"], r"--prompt: the prompt holds a control character, '\x1b'"),
        (1, None, ["a\x00b"], r"--prompt: the prompt holds a control character, '\x00'"),
        (1, None, ["\udcff"], r"--prompt: the prompt holds half of a surrogate pair, '\udcff'"),
    ],
)
def test_prompts_that_cannot_be_are_refused(
    model: Diffusion, n: int, label: int | None, prompts: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        asked(model, n, label=label, prompts=prompts, device=CPU)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            3,
            "--prompt is 'a cat', and this model takes no text: give --label, from 0 to 2, or train",
        ),
        (0, "--prompt is 'a cat', and this model takes no text: leave it out, or train with text=small"),
    ],
)
def test_prompts_are_refused_of_models_of_labels_and_of_none(classes: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        asked(toy_model(classes), 2, prompts=["a cat"], device=CPU)


def test_a_prompt_of_the_command_line_is_one_line_whatever_it_is_typed_as(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("two\n")
    assert given_prompts([" a seven\nabove\ta three ", " \n"], tmp_path / "p.txt") == [
        "a seven above a three",
        "",
        "two",
    ]
    with pytest.raises(ValueError, match="--prompt: the prompt holds a control character"):
        given_prompts(["a \x1b[2Jcat"], None)


def test_a_file_of_prompts_has_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa red cat\r\n\n \n größer: 猫 🐈\n".encode())
    assert read_prompts(file) == ["a red cat", "größer: 猫 🐈"]
    file.write_text("a cat\u2028of two lines\u0085\n", newline="\n")  # signs at which str.splitlines splits
    assert read_prompts(file) == ["a cat of two lines"]
    write_prompts(["a red cat", "größer: 猫 🐈"], file)
    assert read_prompts(file) == ["a red cat", "größer: 猫 🐈"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no prompt: write one a line"),
        (b"\n \n", "holds no prompt: write one a line"),
        (b"caf\xe9", "is not UTF-8 text: save it in that encoding"),
        (b"a cat\n\x1b]0;owned\x07\n", "line 2: the prompt holds a control character"),
        (b"a cat\na\x00b\n", "line 2: the prompt holds a control character"),
        (b"x" * 10_000_000, "has 10,000,000 bytes, more than the 1,048,576 that are read"),
    ],
)
def test_a_file_of_other_things_is_refused_with_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "p.txt").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_prompts(tmp_path / "p.txt")
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        read_prompts(tmp_path / "nowhere.txt")


def test_captions_of_a_picture_are_different_ones_in_the_order_of_the_evaluation(data: ImageData) -> None:
    order = held_out_order(data, 5).tolist()
    found = held_out_captions(data, 4, 5)
    assert found == list(dict.fromkeys(data.test.captions[i] for i in order))[:4]
    assert len(set(held_out_captions(data, 99, 5))) == 10
    assert held_out_captions(data, 4, 6) != found


def test_classes_and_texts_come_in_turn(model: Diffusion) -> None:
    assert in_turn(toy_model(3), 5, (), CPU).y.tolist() == [0, 1, 2, 0, 1]
    assert in_turn(toy_model(), 5, (), CPU) == Asked(None)
    found = in_turn(model, 3, ["a red cat", "a blue dog"], CPU)
    assert found.texts == ["a red cat", "a blue dog", "a red cat"]
    assert same(found.y, model, list(found.texts))


def untaken(_: object, images: torch.Tensor, labels: torch.Tensor) -> Taken:
    """Images without features, in the place of `take`."""
    return Taken(images, labels, torch.zeros(len(images), 1), torch.zeros(len(images), 0))


def test_samples_are_drawn_to_held_out_captions_in_turn_and_know_their_numbers(
    model: Diffusion, data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for = list[Condition]()

    def sample(n: int, y: Condition, *, rng: torch.Generator) -> torch.Tensor:
        asked_for.append(y)
        return torch.zeros(n, 1, 4, 4)

    monkeypatch.setattr(model, "sample", sample)
    monkeypatch.setattr("genbench.evaluation.samples.take", untaken)
    read_captions(model, data)
    order: torch.Tensor = held_out_order(data, 7)
    extractor: Any = None  # which `untaken` passes over
    with QUIET.bar("", 50) as bar:
        samples = Samples(model, data, extractor, Context(CPU, 7), n=50, of="ema", bar=bar)
        results = [samples.batch(place) for place in ((0, 32), (32, 18))]
    numbers = torch.cat([taken.labels for taken in samples.taken(results) if taken.labels is not None])
    assert torch.equal(numbers, order[torch.arange(50) % 20])
    for y, part in zip(asked_for, numbers.split([32, 18]), strict=True):
        assert same(y, model, [data.test.captions[i] for i in part.tolist()])


def test_a_gallery_has_a_row_for_each_of_eight_captions_and_writes_them_down(
    model: Diffusion, data: ImageData, tmp_path: Path
) -> None:
    gallery = Gallery(tmp_path / "s", JsonLines(tmp_path / "m.jsonl"), data, Context(CPU))
    path = gallery.samples(model, 100)
    captions = held_out_captions(data, 8, 0)
    assert read_prompts(tmp_path / "s" / "prompts.txt") == captions
    y = model.condition([text for text in captions for _ in range(8)])
    expected = model.sample(64, y, rng=gallery.rng())
    with Image.open(path) as image:
        shown = np.asarray(image.convert("L"))
    width = 8 * 51 + 3
    left = shown.shape[1] - width  # beside the margin with the captions
    assert shown.shape[0] == width
    tiles = shown[3:, left + 3 :].reshape(-1)[: (width - 3) ** 2].reshape(width - 3, width - 3)[::51, ::51]
    levels = ((expected[:, 0, 0, 0] + 1) * 127.5 + 0.5).floor().clamp(0, 255).reshape(8, 8).to(torch.uint8)
    assert np.array_equal(tiles, levels.numpy())
    assert (shown[:, :left] < 128).any()  # letters
    gallery.details(model, 100)
    frame = np.asarray(last_frame(tmp_path / "s" / "animation_000000100.webp"))
    assert frame.shape[1] > frame.shape[0]  # a margin of captions beside four rows of four
    before = path.read_bytes()
    assert gallery.samples(model, 100).read_bytes() == before


def test_a_gallery_does_with_a_single_caption(model: Diffusion, tmp_path: Path) -> None:
    split = Split(torch.zeros(9, 1, 4, 4, dtype=torch.uint8), None, captions=["a red cat"] * 9)
    data = ImageData("toy", split, split, (), 0, False, "key", (1, 4, 4))
    gallery = Gallery(
        tmp_path / "s", JsonLines(tmp_path / "m.jsonl"), data, Context(CPU), samples_per_class=2
    )
    gallery.samples(model, 0)
    gallery.details(model, 0)
    assert read_prompts(tmp_path / "s" / "prompts.txt") == ["a red cat"]


class Told(Decodes):
    """A model of text with codes, whose images say the number of tokens of their text."""

    takes_text = True
    latent_shape = (2,)

    def __init__(self) -> None:
        super().__init__((1, 4, 4))

    def loss(self, *_: object, **__: object) -> Loss:
        raise NotImplementedError

    def condition(self, texts: list[str]) -> Condition:
        return text_model([]).condition(texts)

    def sample(self, n: int, y: object = None, *, rng: object = None) -> torch.Tensor:
        raise NotImplementedError

    def prior(self, n: int, y: Condition, *, rng: torch.Generator) -> torch.Tensor:
        return torch.randn(n, 2, generator=rng)

    def decode(self, z: torch.Tensor, y: Condition) -> torch.Tensor:
        return y.mask.sum(1).float()[:, None, None, None].expand(len(z), 1, 4, 4) / 127.5 - 1


def test_interpolations_have_one_text_an_arc(tmp_path: Path) -> None:
    model = Told()
    found = asked(model, 2, prompts=["a", "b"], device=CPU)
    arcs = Arcs(model, torch.zeros(2, 2), torch.ones(2, 2), found)
    write_interpolations(arcs, 3, tmp_path, Context(CPU))
    with np.load(tmp_path / "samples.npz") as stored:
        assert stored["captions"].tolist() == ["a"] * 3 + ["b"] * 3
        assert (stored["samples"] == stored["samples"][0]).all()


def test_an_animation_may_have_texts_beside_its_rows(tmp_path: Path) -> None:
    states = torch.randint(0, 256, (3, 4, 1, 8, 8), dtype=torch.uint8)
    save_animation(states, tmp_path / "a.webp", columns=2)
    save_animation(states, tmp_path / "b.webp", columns=2, labels=["a red cat", "\x1b[31m <b>"])
    with Image.open(tmp_path / "a.webp") as plain, Image.open(tmp_path / "b.webp") as told:
        assert plain.n_frames == told.n_frames == 3
        assert told.size[1] == plain.size[1]
        margin = told.size[0] - plain.size[0]
        assert 40 < margin < 250
        first = np.asarray(told.convert("L"))
        assert np.array_equal(first[:, margin:], np.asarray(plain.convert("L")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty images of 8x8 pixels with captions."""
    root = tmp_path_factory.mktemp("photos")
    for i in range(30):
        Image.fromarray(np.full((8, 8), 8 * i, np.uint8)).save(root / f"{i:02}.png")
        (root / f"{i:02}.txt").write_text(CAPTIONS[i % 10])
    return root


@pytest.fixture(scope="module")
def run(made: Make, folder: Path) -> Path:
    words = (f"data.root={folder}", "data.size=8", "data.channels=1", "network.width=8", "network.blocks=1")
    return made("data=image_folder", *words, "sampler.steps=2", "text=small", "metrics=none")


def test_the_verb_writes_a_row_for_each_prompt_and_their_captions(
    run: Path, verb: Command, tmp_path: Path
) -> None:
    file = tmp_path / "p.txt"
    file.write_text("a blue dog\n")
    done = verb(
        "sample", run, "--out", tmp_path / "x", "--prompt", "a cat", "--prompts", file, "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert "16 images in" in done.stdout
    assert done.stderr.startswith("genbench: words of the prompts that no caption of the training had: 'a'")
    with np.load(tmp_path / "x" / "samples.npz", allow_pickle=False) as stored:
        assert stored["captions"].tolist() == ["a cat"] * 8 + ["a blue dog"] * 8
        images = genbench.load(run, device="cpu").sample(16, prompts=["a cat", "a blue dog"])
        assert np.array_equal(images.array, stored["samples"])
        assert not np.array_equal(stored["samples"][:8], stored["samples"][8:])
    assert images.captions == ["a cat"] * 8 + ["a blue dog"] * 8
    with Image.open(tmp_path / "x" / "grid.png") as grid:
        assert grid.size[1] == 2 * 51 + 3
    images.save(tmp_path / "y.npz")
    with np.load(tmp_path / "y.npz") as again:
        assert again["captions"].tolist() == images.captions


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), 'genbench: this model draws images of texts: give --prompt "TEXT"'),
        (("--label", 1), "genbench: --label is 1, and this model takes texts"),
        (("--n", 5, "--prompt", "a", "--prompt", "b"), "genbench: --n is 5, and each of 2 prompts"),
        (("--prompt", "a" * 70), 'genbench: the text "aaaa'),
        (("--prompts", "nowhere.txt"), "genbench: --prompts is nowhere.txt, which does not exist"),
    ],
)
def test_the_verb_refuses_before_it_writes(
    words: tuple[object, ...], message: str, run: Path, verb: Command, tmp_path: Path
) -> None:
    done = verb("sample", run, "--out", tmp_path / "x", *words, "--device", "cpu")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert not (tmp_path / "x").exists()


def test_an_export_names_the_prompts_of_its_grid_and_escapes_them(
    run: Path, verb: Command, tmp_path: Path
) -> None:
    (run / "samples").mkdir(exist_ok=True)
    (run / "samples" / "prompts.txt").write_text("a `cat` <script>|x\n[l](x) $\\f$\n3\n")
    done = verb("export", run, "--out", tmp_path / "e", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    card = (tmp_path / "e" / "README.md").read_text()
    assert "| 1 | a \\`cat\\` &lt;script>\\|x " in " ".join(card.replace("|   1", "| 1").split())
    assert "prompts=['a \\x60cat\\x60 <script>|x'], seed=0" in card
    assert "pipeline_tag: text-to-image" in card
    drawn = genbench.load(tmp_path / "e", device="cpu").sample(2, prompts=["a cat"])
    assert drawn.captions == ["a cat"] * 2
