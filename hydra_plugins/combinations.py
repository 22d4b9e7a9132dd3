"""The sweeper of `python main.py -m`. Hydra takes plugins from a folder of this name only."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from genbench.app.directory import check_outside_runs
from genbench.app.held_overrides import held
from genbench.app.messages import why
from genbench.app.run_names import identity
from genbench.app.sweeps import plan
from genbench.errors import UsageError

__all__ = ["Combinations"]


class Combinations(BasicSweeper):
    """All combinations; one that cannot be composed is refused alone, where Hydra's own refuses the sweep."""

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """The jobs, in batches. Raises UsageError where none can be composed."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        (jobs,) = BasicSweeper.split_arguments([*overrides, *parser.parse_overrides(held())], None)
        refusals = [(words, self.refusal(words)) for words in jobs]
        good = [words for words, refusal in refusals if refusal is None]
        bad = [(words, refusal) for words, refusal in refusals if refusal is not None]
        if not good:
            several = f"all {len(bad)} jobs are refused, the first since " if len(bad) > 1 else ""
            raise UsageError(several + bad[0][1])
        plan(good, bad)
        return list(self.split_overrides_to_chunks(good, max_batch_size))

    def refusal(self, words: list[str]) -> str | None:
        """Why a job cannot be composed."""
        try:
            # What an option of another model refers to is missed only when it is looked up.
            cfg = self.hydra_context.config_loader.load_sweep_config(self.config, words)
            identity(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            return why(error, words)
        return self.obstacle(cfg)

    def obstacle(self, cfg: DictConfig) -> str | None:
        """Return why a job's directory cannot be made, if it is a file or in a run: Hydra would make it."""
        with suppress(OmegaConfBaseException):  # a directory that only the job itself can name
            path = Path(cfg.hydra.sweep.dir) / cfg.hydra.sweep.subdir
            if path.exists() and not path.is_dir():
                return f"{path} is no folder, and the run would write into one: move it away"
            try:
                check_outside_runs(path)
            except ValueError as error:
                return str(error)
        return None

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """The jobs are composed once, before they are put into batches."""
