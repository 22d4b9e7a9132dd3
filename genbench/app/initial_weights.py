"""Initial weights from a trained run, the one that init.run_dir names.

It is no part of genbench.app's own names, since its annotations need torch at import.
"""

from genbench.app.earlier_run import finished_cost, folder
from genbench.app.load_run import load
from genbench.app.run_names import weights_hash
from genbench.diffusion.teacher import Teacher
from genbench.families.diffusion import Denoising
from genbench.runtime.downloads import may_download

__all__ = ["initial_weights"]


def initial_weights(run_dir: str | None = None, fingerprint: str | None = None) -> Teacher | None:
    """Return the trained model of a run, its averaged weights, as the start of another; None without a run.

    fingerprint: of its weights. The run may be a stranger's, and is read at the user's own command alone: a
    model that is loaded has its weights in a checkpoint. Raises ValueError where the run has not ended, is
    not the one of the fingerprint, or is no model that a consistency model can begin from.
    """
    if run_dir is None or not may_download():
        if fingerprint is not None and may_download():
            raise ValueError(f"init.fingerprint is {fingerprint}, without a run: give init.run_dir=RUN")
        return None
    if fingerprint != weights_hash(run_dir):
        raise ValueError(
            f"init.fingerprint is {fingerprint}, which is not that of init.run_dir={run_dir}: leave "
            "init.fingerprint out"
        )
    finished_cost(run_dir)  # which alone is of a training that has ended
    model = load(folder(run_dir), device="cpu")
    if not isinstance(model, Denoising):
        raise ValueError(
            f"init.run_dir is {run_dir}, a run of {type(model).__name__}: give one of model=flow_matching or "
            "model=consistency, or leave init.run_dir out"
        )
    if model.takes_text:
        raise ValueError(f"init.run_dir is {run_dir}, a model of text: give one of labels, or of neither")
    return Teacher(model.network, model.process, run_dir)
