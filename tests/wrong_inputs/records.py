"""Files of runs that are damaged, of another kind, or a stranger's: records, overrides, checkpoints."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tests.attack.verbs import finished_run
from tests.wrong_inputs import Wrong

EARLIER = Path(__file__).resolve().parents[1] / "earlier_runs"
Harm = Callable[[Path], object]
VERBS = {
    "sample": "genbench sample run --out out --n 1 --device cpu",
    "sampler-sweep": "genbench sampler-sweep run --out out --device cpu",
    "bound": "genbench bound run --out out --n 1 --device cpu",
    "evaluate": "genbench evaluate run --device cpu",
}
"""Verbs that read the model of a run, and their words."""
OF_CHECKPOINT = ("run/checkpoints/last.pt cannot be used", "rerun=true")


class Code:
    """An object whose pickle makes a folder where it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("executed",)


def sent(file: str, harm: Harm, family: str = "ddpm") -> Callable[[Path], None]:
    """Put a run of an earlier version into the folder, and harm one of its files."""

    def give(folder: Path) -> None:
        (earlier,) = EARLIER.glob(f"{family}-*")
        shutil.copytree(earlier, folder / "run")
        harm(folder / "run" / file)

    return give


def text(content: str) -> Harm:
    """Write other text in the place of a file."""
    return lambda path: path.write_text(content)


def place(*keys: str, value: object) -> Harm:
    """Write another value at a place of a JSON file."""

    def harm(path: Path) -> None:
        record = json.loads(path.read_text())
        node = record
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
        path.write_text(json.dumps(record))

    return harm


def state(change: Callable[[dict], object]) -> Harm:
    """Write what a function makes of the content of a checkpoint, or the content that it has changed."""

    def harm(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        changed = change(content)
        torch.save(content if changed is None else changed, path)

    return harm


def weights(change: Callable[[torch.Tensor], torch.Tensor]) -> Harm:
    """Change each averaged weight of a checkpoint."""
    return state(lambda content: content.update(ema={n: change(x) for n, x in content["ema"].items()}))


def archive(path: Path) -> None:
    """Write an archive that is no checkpoint."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("samples.npy", b"no array")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def damaged(verb: str, harm: Harm, *says: str) -> Wrong:
    """A verb on a run whose one checkpoint cannot be used."""
    return Wrong(VERBS[verb], (*OF_CHECKPOINT, *says), sent("checkpoints/last.pt", harm))


def record(verb: str, harm: Harm, *says: str) -> Wrong:
    """A verb on a run whose run.json cannot be used."""
    return Wrong(VERBS[verb], ("run/run.json", *says), sent("run.json", harm))


def result(harm: Harm, *says: str, words: str = "report runs") -> Wrong:
    """A verb on a directory whose only run has a result that cannot be read."""

    def give(folder: Path) -> None:
        harm(finished_run(folder / "runs" / "a" / "bad") / "result.json")

    return Wrong(f"genbench {words}", ("genbench: a/bad is damaged: result.json", *says), give)


def overrides(content: str, *says: str) -> Wrong:
    """An evaluation by other scores of a run whose recorded overrides cannot be used."""

    def harm(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    words = "genbench evaluate run --device cpu --set metrics.samples=32"
    return Wrong(words, (".hydra/overrides.yaml", *says), sent(".hydra/overrides.yaml", harm))


def network(harm: Harm, *says: str, features: str = "dinov2") -> Wrong:
    """A file of weights of a published network that is none."""

    def give(folder: Path) -> None:
        np.savez(folder / "x.npz", samples=np.zeros((24, 8, 8), np.uint8))
        harm(folder / "w.pth")

    words = f"--set features={features} --set features.weights=w.pth"
    return Wrong(f"genbench evaluate x.npz --data digits --device cpu {words}", ("w.pth", *says), give)


BOMB = "\n".join(["a0: &a0 [1]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 30))])
DEEP = '{"a":' * 1000 + "1" + "}" * 1000
VAE = next(EARLIER.glob("vae-*")) / "checkpoints" / "last.pt"
ROWS = (
    *(damaged(verb, text("hello"), "incomplete, damaged, or not a checkpoint") for verb in VERBS),
    *(damaged(verb, state(lambda content: [content]), "it holds a list, not a dict") for verb in VERBS),
    damaged("sample", folder, "is a folder"),
    damaged("evaluate", pipe, "is a named pipe"),
    damaged("sample", archive, "an archive of another kind than torch writes"),
    damaged("sample", lambda path: path.write_bytes(path.read_bytes()[:5000]), "it is incomplete"),
    damaged("bound", lambda path: path.write_bytes(b""), "not a checkpoint"),
    damaged("sample", lambda path: path.write_bytes(pickle.dumps(Code())), "not a checkpoint"),
    damaged(
        "evaluate", lambda path: torch.save(Code(), path), "other objects than tensors, numbers and text"
    ),
    damaged("sample", state(lambda content: {"state_dict": {}}), "it has no weights under ema"),
    damaged("evaluate", state(lambda content: content.pop("images_seen") and None), "it has no images_seen"),
    damaged("bound", state(lambda content: content.pop("ema") and None), "it has no weights under ema"),
    damaged("sample", lambda path: shutil.copy(VAE, path), "another network's"),
    damaged("sample", weights(lambda x: torch.zeros(3, 3)), "(3, 3) float32 instead of"),
    damaged("bound", weights(lambda x: x.half()), "float16 instead of"),
    damaged("evaluate", weights(lambda x: x.to(torch.complex64)), "complex64 instead of"),
    damaged("sample", weights(lambda x: x / 0), "the weights of its ema are not finite"),
    damaged("sample", weights(lambda x: torch.zeros([1] * 60)), "60 axes"),
    *(record(verb, text("{}"), "has no identity that is text", "restore it") for verb in VERBS),
    record("sample", text("[]"), "holds '[]', not an object"),
    record("evaluate", text("null"), "holds 'null', not an object"),
    record("bound", text(DEEP), "it is nested more than 64 deep"),
    record("sampler-sweep", text("[" * 100_000), "it is nested more than 64 deep"),
    record("sample", text('{"a": 1' + "0" * 5000 + "}"), "a number of thousands of digits"),
    record("sample", text(""), "is not JSON"),
    record("evaluate", place("sessions", value=[5]), "has a session that is not an object"),
    record("evaluate", place("config", value=[]), "holds no configuration"),
    record("bound", place("config", "data", value=5), "its configuration builds no data"),
    record("sample", place("config", "model", value="x"), "its configuration builds no model"),
    record("sample", place("config", "model", "network", value=[1]), "model.network is [1]"),
    record("evaluate", place("config", "seed", value="x"), "no seed that is a whole number"),
    record("sample", place("precision", value="fp64"), "precision is 'fp64'", "fp32, bf16"),
    record("sample", place("config", "model", "_target_", value="os.system"), "would build 'os.system'"),
    overrides("a: [1, 2\nb: {", "is not a list of overrides: restore it"),
    overrides("model: ddpm\n", "is not a list of overrides"),
    overrides("\t- a\n", "is not a list of overrides"),
    overrides(BOMB, "is not a list of overrides"),
    overrides("- !!python/object/apply:os.mkdir [executed]\n", "is not a list of overrides"),
    overrides("- model=unheard_of\n", "cannot be composed", "unheard_of is not an option of model"),
    overrides("- seed=${oc.env:HOME}\n", "options of conf/ and values"),
    result(text("{}"), "it holds no result of a run"),
    result(text("[]"), "it holds no result of a run", words="report runs --format html"),
    result(text(DEEP), "nested more than 64 deep", words="report runs --format csv"),
    result(text("nothing"), words="compare runs runs"),
    result(place("metrics", value=[1]), "metrics holds a list", words="report runs --format json"),
    result(place("config", value=5), "config holds a int", words="report runs --format latex"),
    result(place("cost", value={"images_seen": "x"}), "images_seen is 'x', not a number"),
    result(place("seed", value=[]), "seed holds a list"),
    result(place("metrics", value={"fid[": 1}), "fid["),
    network(
        text("hello"),
        "is not a file of weights (damaged, or of another format)",
        "dinov2_vits14_pretrain.pth",
    ),
    network(
        lambda path: path.write_bytes(pickle.dumps(Code())), "not a file of weights", features="inception"
    ),
    network(lambda path: torch.save(Code(), path), "not a file of weights"),
    network(lambda path: torch.save([1], path), "differs from Inception", features="inception"),
    network(lambda path: torch.save({"cls_token": torch.zeros(())}, path), "differs from DINOv2"),
    network(lambda path: path.mkdir(), "which is not a file"),
    network(lambda path: os.mkfifo(path), "which is not a file"),
)
