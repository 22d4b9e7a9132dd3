"""A trained model whose weights are the initial ones of another: consistency tuning."""

from dataclasses import dataclass

from torch import Tensor, nn

from genbench.diffusion.consistency import Consistency
from genbench.diffusion.flow_matching import FlowMatching
from genbench.diffusion.process import Process

__all__ = ["Teacher"]


@dataclass(frozen=True)
class Teacher:
    """The network of a trained model, with the process that it was trained in and the place that it is from.

    A consistency model whose step ends at t = 0 is a velocity, network(xt, t) = x0 - eps, which is what flow
    matching learns on the same paths: its training may begin where that of a flow ended.
    Source: Geng et al. 2024 (easy consistency tuning), Section 3.1; there of a diffusion model.
    """

    network: nn.Module
    process: Process
    origin: str

    def start(self, network: nn.Module, process: Process) -> None:
        """Give a network that is to learn in `process` the weights of the trained one.

        Raises ValueError where the trained network answers another question, and where it is another network;
        the message names what differs.
        """
        self.check_process(process)
        self.check_network(network)
        network.load_state_dict(state(self.network))

    def check_process(self, process: Process) -> None:
        """Raise ValueError unless what the network has learned is what the process starts from."""
        of_flow = isinstance(process, Consistency) and isinstance(self.process, FlowMatching)
        if of_flow or type(process) is type(self.process):
            return
        flow = "model=flow_matching or " if isinstance(process, Consistency) else ""
        raise ValueError(
            f"init.run_dir is {self.origin}, whose network was trained by {type(self.process).__name__}, and "
            f"this one is trained by {type(process).__name__}, with other paths, times or answers: give a "
            f"run of {flow}the same process with the same network, or leave init.run_dir out"
        )

    def check_network(self, network: nn.Module) -> None:
        """Raise ValueError unless both networks are of one class and have weights of the same shapes."""
        if type(network) is not type(self.network):
            raise ValueError(
                f"init.run_dir is {self.origin}, whose network is {type(self.network).__name__}, and this "
                f"one is {type(network).__name__}: choose the same network"
            )
        own, found = shapes(network), shapes(self.network)
        differing = [name for name in own | found if own.get(name) != found.get(name)]
        if differing:
            name = differing[0]
            raise ValueError(
                f"init.run_dir is {self.origin}, whose network differs from this one in {len(differing)} "
                f"weights, the first {name}: {found.get(name)} there, {own.get(name)} here: choose the same "
                "network.width, network.blocks, .., conditional and size of images"
            )


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight and buffer of a network, by its name."""
    return {name: tuple(x.shape) for name, x in state(network).items()}


def state(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights and buffers of a network for images without augmentation, by name."""
    return {name: x for name, x in network.state_dict().items() if not name.startswith("augment.")}
