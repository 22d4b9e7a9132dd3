"""Train, measure, log and table one generative model: `python main.py model=ddpm schedule=cosine`."""

import sys

from genbench.cli.train_help import answered

if __name__ == "__main__" and answered(sys.argv[1:]):
    sys.exit()  # before the imports below, which take longer than the help page

import hydra
from omegaconf import DictConfig

from genbench import app


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    return app.run(cfg)


if __name__ == "__main__":
    app.run_command(main)
