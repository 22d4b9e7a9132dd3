"""Pipelines of the library diffusers in folders and on the Hub, which other people may have made: checked
before they are loaded, from safetensors files, without executing anything of theirs. The only importer of the
library, and of transformers, which some pipelines need.
"""

import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench.records.untrusted_files import RECORD_BYTES, YAML_BYTES, parse_json, read_regular
from genbench.runtime.downloads import may_download
from genbench.runtime.memory import is_out_of_memory

__all__ = ["load_pipeline", "read_prompts"]

INDEX = "model_index.json"
ON_HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")
"""A name on the Hub of Hugging Face, USER/NAME."""
INSTALL = 'pip install "genbench[diffusers]"'
FOREIGN = ("auto_map", "quantization_config", "attn_implementation", "_attn_implementation")
"""Keys in the configuration of a component that would load code or kernels from elsewhere."""
PARTS = {
    "diffusers": ("ModelMixin", "SchedulerMixin"),
    "transformers": ("PreTrainedModel", "PreTrainedTokenizerBase", "BaseImageProcessor"),
}
"""Library -> base classes of the components that a pipeline may have."""


def load_pipeline(path: str, revision: str | None) -> Any:  # noqa: ANN401
    """Load the pipeline of a folder, or of a name on the Hub where downloads are allowed or it is cached.
    Raises ValueError where it is none, where it would execute something, or where weights are missing.
    """
    check_path(path, revision)  # first: to import the libraries takes seconds
    with quiet(libraries()):
        folder = fetched(path, revision)
        check_folder(folder)
        with explained(f"the pipeline in {folder} cannot be loaded"):
            pipeline = libraries()["diffusers"].DiffusionPipeline.from_pretrained(
                folder, use_safetensors=True, local_files_only=True
            )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def read_prompts(path: Path) -> list[str]:
    """Read the texts of a file, one a line, without empty lines. Raises ValueError where there is none."""
    lines = read_regular(path, at_most=YAML_BYTES).decode(errors="replace").splitlines()
    if not (texts := [line.strip() for line in lines if line.strip()]):
        raise ValueError(f"{path} holds no prompt: write one a line")
    return texts


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


def check_path(path: str, revision: str | None) -> None:
    """Raise ValueError unless a path is a folder of a pipeline, or may be a name on the Hub."""
    if Path(path).is_dir():
        if revision is not None:
            raise ValueError(f"model.revision is {revision}, and {path} is a folder: leave it out")
        if not (Path(path) / INDEX).is_file():
            raise ValueError(
                f"{path} holds no {INDEX}: give a folder that a pipeline's save_pretrained wrote"
            )
    elif not ON_HUB.fullmatch(path):
        raise ValueError(f"model.path is {path!r}, which is not a folder: give one, or USER/NAME on the Hub")


def fetched(path: str, revision: str | None) -> Path:
    """Return the folder of a pipeline: the one at `path`, else that of the Hub's cache, to which it is
    downloaded where that is allowed. Raises ValueError where it is in neither."""
    if Path(path).is_dir():
        return Path(path)
    where = "" if may_download() else "; a recorded configuration downloads nothing: give a folder"
    base = libraries()["diffusers"].DiffusionPipeline
    with explained(f"model.path is {path!r}, no folder here, and the Hub does not give it{where}"):
        asked = {"revision": revision, "local_files_only": not may_download()}
        check_index(base.load_config(path, **asked), path)  # before anything else is downloaded
        return Path(base.download(path, use_safetensors=True, **asked))


def check_folder(folder: Path) -> None:
    """Raise ValueError where a folder of a pipeline holds code, or names classes that are no components."""
    if code := sorted(folder.rglob("*.py")):
        raise ValueError(f"{code[0]} is code, which is never executed: remove it from the pipeline's folder")
    check_index(read_json(folder / INDEX), folder)
    for path in sorted(folder.rglob("config.json")):
        if found := foreign(read_json(path)):
            raise ValueError(f"{path} has {found[0]}, which could load code from elsewhere: remove it")


def foreign(node: object) -> list[str]:
    """Return the keys of plain data that are among FOREIGN, also in parts such as the text_config of CLIP."""
    if isinstance(node, list):
        return [key for child in node for key in foreign(child)]
    if not isinstance(node, dict):
        return []
    inner = [key for child in node.values() for key in foreign(child)]
    return [*(key for key in FOREIGN if key in node), *inner]


def read_json(path: Path) -> dict[str, Any]:
    """Read an object of JSON. Raises ValueError where it is none, or damaged."""
    try:
        found = parse_json(read_regular(path, at_most=RECORD_BYTES))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object")
    return found


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


@contextmanager
def quiet(modules: Mapping[str, ModuleType]) -> Iterator[None]:
    """Let the libraries print no bars and no warnings inside the block; errors are raised, not printed."""
    loggers = [module.utils.logging for module in modules.values()]
    before = [(each, each.get_verbosity(), each.is_progress_bar_enabled()) for each in loggers]
    for each in loggers:
        each.set_verbosity_error()
        each.disable_progress_bar()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for each, level, shown in before:
            each.set_verbosity(level)
            if shown:
                each.enable_progress_bar()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what the library raises inside the block into one message that begins with `what`."""
    try:
        yield
    except Exception as error:  # of its own, of safetensors, of connections: they have no common type
        if is_out_of_memory(error):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{what}: {said[:300]}") from error
