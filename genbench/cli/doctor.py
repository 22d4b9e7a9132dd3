"""Verb that describes this machine and installation, to be pasted into a bug report."""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import typer

from genbench.cli.output import say
from genbench.cli.verb import examples
from genbench.config.option_folders import option_folders, plugins
from genbench.errors import Failure
from genbench.records.run_directory import git_state, version
from genbench.records.units import device_words
from genbench.runtime.disk import check_writable, megabytes
from genbench.runtime.memory import installed_memory
from genbench.runtime.printable import complain

__all__ = ["verbs"]

verbs = typer.Typer()

LIBRARIES = ("torchvision", "torchmetrics", "torch-fidelity", "hydra-core", "omegaconf", "numpy", "wandb")
EXTRAS = (
    "hydra-joblib-launcher",
    "hydra-submitit-launcher",
    "hydra-optuna-sweeper",
    "hydra-ray-launcher",
    "tensorboard",
    "mlflow-skinny",
    "trackio",
    "huggingface-hub",
    "datasets",
    "nvidia-ml-py",
    "diffusers",
    "transformers",
)


@verbs.command(epilog=examples(["genbench doctor"]))
def doctor() -> None:
    """Describe this machine and installation, for bug reports.

    Versions, devices, cache, free disk space, weights of feature networks, wandb, plug-ins. Nothing is sent.
    Exit code 1 where something would stop a run, such as a folder that cannot be written.
    """
    faults = []
    for name, text in facts():
        home = str(Path.home())
        say(f"{name:<12} {text.replace(home, '~') if len(home) > 1 else text}")
    for folder in (cache(), Path("runs")):
        try:
            check_writable(folder)
        except OSError as error:
            faults.append(f"{folder} cannot be written ({error.strerror}: {error.filename})")
    for fault in faults:
        complain(fault)
    if faults:
        raise Failure(
            "name another cache by the variable GENBENCH_CACHE, another folder of runs by runs_dir="
        )


def facts() -> Iterator[tuple[str, str]]:
    """Yield the name of each fact and its text, quick ones first."""
    state = git_state()
    commit = (
        "" if state is None else f", commit {state['commit'][:12]}{' with changes' * bool(state['dirty'])}"
    )
    yield "genbench", f"{version('genbench') or 'not installed'}{commit}"
    yield "python", f"{platform.python_version()}, {platform.platform()}"
    yield "libraries", ", ".join(f"{name} {version(name) or 'missing'}" for name in LIBRARIES)
    yield "extras", ", ".join(f"{name} {found}" for name in EXTRAS if (found := version(name))) or "none"
    yield "plug-ins", ", ".join(f"{each.name} ({each.folder})" for each in plugins()) or "none"
    yield "options", ", ".join(map(str, option_folders()))
    yield from machine()
    yield "cache", described(cache())
    yield "runs", described(Path("runs").absolute())
    yield from weights()
    yield "wandb", wandb_mode()


def machine() -> Iterator[tuple[str, str]]:
    """Yield torch, its devices, whether they have bfloat16 and float16 units, and the processor."""
    import torch

    from genbench.runtime.device import choose, describe, processor
    from genbench.runtime.energy import meter
    from genbench.runtime.precision import has_bf16_units, has_fp16_units

    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    yield "torch", f"{torch.__version__}, {cuda}"
    cards = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    for device in [*cards, torch.device("cpu")]:
        chosen = "auto, " if device.type == choose("auto").type else ""
        found = {"bfloat16": has_bf16_units(device), "float16": has_fp16_units(device)}
        units = ", ".join(f"{name} units" if there else f"no {name} units" for name, there in found.items())
        yield "device", f"{device}: {chosen}{device_words(describe(device))}, {units}"
        yield "energy", f"{device}: {meter(device).reason or 'measured'}"
    memory = installed_memory()
    yield "processor", f"{processor() or 'unknown'}, {os.cpu_count()} cores, {megabytes(memory)} of memory"


def cache() -> Path:
    """Return the folder of files that can be made again."""
    from genbench.data.store import cache_dir

    return cache_dir()


def described(folder: Path) -> str:
    """Return a folder with the free space of its disk; of one that is not there, of the nearest above it."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{folder}, {megabytes(shutil.disk_usage(there).free)} free"


def weights() -> Iterator[tuple[str, str]]:
    """Yield where the weights of published feature networks are, without downloading them."""
    import torch

    from genbench.metrics.features.inception import FILE

    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    yield "inception", f"{path}, {'there' if path.is_file() else 'missing: downloaded when it is needed'}"
    found = sorted(str(each) for each in path.parent.glob("dinov2_vit*14_pretrain.pth"))
    missing = f"none in {path.parent}: ViT-L is downloaded when it is needed"
    yield "dinov2", ", ".join(found) or missing


def wandb_mode() -> str:
    """Return what tracker=wandb would do here: online, offline or disabled."""
    from genbench.tracking.wandb import resolve

    return f"{resolve()} (WANDB_MODE={os.environ.get('WANDB_MODE', '')})"
