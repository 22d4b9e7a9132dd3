"""Pipelines of the library diffusers in folders and on the Hub, which other people may have made: checked
before they are loaded, from safetensors files, without executing anything of theirs. The only importer of the
library; transformers, which some pipelines need, is imported by `transformer_models` too.
"""

import inspect
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench.records.foreign_models import (
    check_address,
    check_no_code,
    explained,
    quiet,
    read_json,
    unavailable,
)
from genbench.runtime.downloads import may_download

__all__ = ["load_pipeline"]

INDEX = "model_index.json"
INSTALL = 'pip install "genbench[diffusers]"'
PARTS = {
    "diffusers": ("ModelMixin", "SchedulerMixin"),
    "transformers": ("PreTrainedModel", "PreTrainedTokenizerBase", "BaseImageProcessor"),
}
"""Library -> base classes of the components that a pipeline may have."""


def load_pipeline(path: str, revision: str | None) -> Any:  # noqa: ANN401
    """Load the pipeline of a folder, or of a name on the Hub where downloads are allowed or it is cached.
    Raises ValueError where it is none, where it would execute something, or where weights are missing.
    """
    remedy = "a folder that a pipeline's save_pretrained wrote"
    # First, since to import the libraries takes seconds.
    check_address(path, revision, key="model", index=INDEX, remedy=remedy)
    with quiet(libraries()):
        folder = fetched(path, revision)
        check_folder(folder)
        with explained(f"the pipeline in {folder} cannot be loaded"):
            pipeline = libraries()["diffusers"].DiffusionPipeline.from_pretrained(
                folder, use_safetensors=True, local_files_only=True
            )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def libraries() -> dict[str, ModuleType]:
    """Return the modules that pipelines are made of; without transformers those of diffusers alone.
    Raises ValueError where diffusers is not installed.
    """
    try:
        import diffusers
    except ImportError as error:
        raise ValueError(f"model=diffusers needs its library: {INSTALL}") from error
    found: dict[str, ModuleType] = {"diffusers": diffusers}
    with suppress(ImportError):
        import transformers

        found["transformers"] = transformers
    return found


def fetched(path: str, revision: str | None) -> Path:
    """Return the folder of a pipeline: the one at `path`, else that of the Hub's cache, to which it is
    downloaded where that is allowed. Raises ValueError where it is in neither."""
    if Path(path).is_dir():
        return Path(path)
    base = libraries()["diffusers"].DiffusionPipeline
    with explained(unavailable(path, "model")):
        asked = {"revision": revision, "local_files_only": not may_download()}
        check_index(base.load_config(path, **asked), path)  # before anything else is downloaded
        return Path(base.download(path, use_safetensors=True, **asked))


def check_folder(folder: Path) -> None:
    """Raise ValueError where a folder of a pipeline holds code, or names classes that are no components."""
    check_no_code(folder)
    check_index(read_json(folder / INDEX), folder)


def check_index(index: Mapping[str, Any], folder: Path | str) -> None:
    """Raise ValueError unless a model_index.json names a class of diffusers, and as its parts networks,
    schedulers and tokenizers of diffusers and transformers alone."""
    name, base = index.get("_class_name"), libraries()["diffusers"].DiffusionPipeline
    kind = getattr(libraries()["diffusers"], name, None) if isinstance(name, str) else None
    if not (inspect.isclass(kind) and issubclass(kind, base)):
        raise ValueError(
            f"{folder}/{INDEX} names the pipeline {name!r}, which is no class of diffusers here (those that "
            f"draw to texts need transformers too: {INSTALL})"
        )
    optional: Any = kind  # whose base in diffusers has it
    legal = inspect.signature(kind.__init__).parameters
    plain = {key for key, found in legal.items() if found.default is not inspect.Parameter.empty}
    plain -= {*optional._optional_components}
    for key, value in index.items():
        is_pair = isinstance(value, list) and len(value) == 2
        if key.startswith("_") or (key in plain and not is_pair) or value == [None, None]:
            continue
        if not (is_pair and is_part(*value)):
            raise ValueError(
                f"{folder}/{INDEX} has {value!r} as {key}; it must be a network, scheduler, tokenizer or "
                f"image processor of diffusers or transformers, which {INSTALL} installs"
            )


def is_part(library: object, name: object) -> bool:
    """Return True where a library, or a module among diffusers' pipelines, has a component of this name."""
    found, own = libraries(), getattr(libraries()["diffusers"].pipelines, str(library), None)
    bases = tuple(getattr(module, base) for key, module in found.items() for base in PARTS[key])
    if isinstance(own, ModuleType) and own.__name__ == f"diffusers.pipelines.{library}":
        found[str(library)] = own
    part = getattr(found.get(str(library)), str(name), None)
    return inspect.isclass(part) and issubclass(part, bases)
