"""The Hub of Hugging Face, to and from which exported models go; the only importer of its library."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genbench.app.exported import ABOUT, WEIGHTS, is_exported
from genbench.data.store import cache_dir
from genbench.errors import Failure
from genbench.records.files import atomic_file
from genbench.runtime.printable import flat

__all__ = ["fetched", "fetched_revision", "push"]

PREFIX, REVISION = "hf:", "REVISION"


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
    """Return a local folder for hf:USER/NAME or hf:USER/NAME@REVISION, of the cache and up to date where the
    Hub can be reached; any other path as it is. Both files are of one commit, see `fetched_revision`.

    REVISION: a commit, a branch or a tag. Raises ValueError where there is no such model or revision, Failure
    where it is not in the cache and the Hub cannot be reached.
    """
    named = str(path).removeprefix(PREFIX)
    if named == str(path):
        return Path(path)
    repository, _, revision = named.partition("@")
    folder = cache_dir() / "hub" / (repository + f"@{revision.replace('/', '--')}" * bool(revision))
    with at_the_hub(named):
        from huggingface_hub import hf_hub_download

        commit = resolved(repository, revision or None, folder)
        for name in (WEIGHTS, ABOUT):  # as files of their own: the library's cache holds links
            hf_hub_download(repository, name, revision=commit, local_dir=folder)
    if commit is not None:
        with atomic_file(folder / REVISION) as file:
            file.write(commit.encode())
    return folder


def fetched_revision(folder: Path) -> str | None:
    """Return the commit that the files of a folder of `fetched` are of; None of any other folder."""
    path = folder / REVISION
    return path.read_text().strip() if folder.is_relative_to(cache_dir()) and path.is_file() else None


def resolved(repository: str, revision: str | None, folder: Path) -> str | None:
    """Return the commit that a revision (None: the main branch) stands for on the Hub; where that cannot be
    reached, the commit that was fetched into `folder` before, or else the revision as it is. Raises what
    the library does, at once where nothing was fetched before: by itself it tries again for half a minute.
    """
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    try:
        return get_hf_file_metadata(hf_hub_url(repository, ABOUT, revision=revision)).commit_hash or revision
    except (errors.HFValidationError, errors.RepositoryNotFoundError, errors.EntryNotFoundError):
        raise
    except errors.RevisionNotFoundError:  # whose message is another
        raise
    except errors.HfHubHTTPError:  # the Hub was reached, and refused
        if not is_exported(folder):
            raise
    except Exception as error:  # offline, or whatever its library of connections raises
        if not is_exported(folder):
            raise errors.LocalEntryNotFoundError(str(error)) from error
    return fetched_revision(folder) or revision


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
        raise ValueError(
            f"{repository!r} is not a name on the Hub: give USER/NAME or USER/NAME@REVISION"
        ) from error
    except errors.LocalEntryNotFoundError as error:
        raise Failure(
            f"{repository} is not in the cache and the Hub cannot be reached: {said(error)}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ValueError(f"the Hub has no such revision, {repository}: leave out @REVISION") from error
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
