"""The Hub of Hugging Face, to and from which exported models go; the only importer of its library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genbench.app.exported import ABOUT, WEIGHTS, is_exported
from genbench.data.store import cache_dir
from genbench.errors import Failure
from genbench.runtime.printable import flat

__all__ = ["fetched", "push"]

PREFIX = "hf:"


def push(folder: Path, repository: str, *, private: bool = False) -> str:
    """Upload a folder that `genbench export` wrote to USER/NAME, which is made if need be; return its URL.
    The library takes the token from HF_TOKEN or from `hf auth login`. Raises ValueError on another folder or
    a name that is none; Failure where the Hub refuses or cannot be reached.
    """
    if not is_exported(folder):
        raise ValueError(f"{folder} is not an exported model: write one by genbench export RUN --out FOLDER")
    if links := sorted(path for path in folder.rglob("*") if path.is_symlink()):
        raise ValueError(  # in a folder that somebody sent, it could be any file of the user's
            f"{links[0]} is a link, whose file would be uploaded: put a copy there, or take it out"
        )
    with at_the_hub(repository):
        from huggingface_hub import HfApi

        api = HfApi()
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Model exported by genbench")
    return str(address)


def fetched(path: str | Path) -> Path:
    """Return a local folder for hf:USER/NAME, of the cache and up to date where the Hub can be reached; any
    other path as it is. Raises ValueError where there is no such model, Failure where it is not in the cache
    and the Hub cannot be reached.
    """
    repository = str(path).removeprefix(PREFIX)
    if repository == str(path):
        return Path(path)
    folder = cache_dir() / "hub" / repository
    with at_the_hub(repository):
        from huggingface_hub import hf_hub_download

        for name in (WEIGHTS, ABOUT):  # as files of their own: the library's cache holds links
            hf_hub_download(repository, name, local_dir=folder)
    return folder


@contextmanager
def at_the_hub(repository: str) -> Iterator[None]:
    """Explain in one line what the Hub's library raises inside the block; repository: USER/NAME."""
    try:
        from huggingface_hub import errors
    except ImportError as error:
        raise ValueError('the Hub needs its library: pip install "genbench[hub]"') from error
    try:
        yield
    except errors.HFValidationError as error:
        raise ValueError(f"{repository!r} is not a name on the Hub: give USER/NAME") from error
    except errors.LocalEntryNotFoundError as error:
        raise Failure(
            f"{repository} is not in the cache and the Hub cannot be reached: {said(error)}"
        ) from error
    except (errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
        raise ValueError(
            f"the Hub has no exported model {repository}, or it is private: {said(error)}"
        ) from error
    except errors.HfHubHTTPError as error:
        raise Failure(f"the Hub refused {repository}: {said(error)}") from error
    except Exception as error:  # whatever its library of connections raises, which changes with its version
        raise Failure(f"the Hub cannot be reached: {said(error)}") from error


def said(error: Exception) -> str:
    """Return the first sentence of an error of the library, in one line."""
    return flat(str(error)).partition(". ")[0] or type(error).__name__
