"""Train, measure, log and table one generative model: `python main.py model=ddpm schedule=cosine`."""

import hydra
from omegaconf import DictConfig

from genbench import app


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> float:
    return app.run(cfg)


if __name__ == "__main__":
    app.run_command(main)
