"""Weights that come from elsewhere and remain there: no training moves them, no checkpoint repeats them."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FrozenWeights"]


class FrozenWeights(nn.Module):
    """A module whose weights are read from elsewhere whenever it is built; abstract.

    A subclass calls `freeze` once it has them. They take no gradient, the module remains in evaluation mode,
    its copies share them, and its state is a fingerprint of them alone, so that a checkpoint does not repeat
    their gigabytes. To load a state is to compare the fingerprints: ValueError where they differ.
    """

    fingerprint: Tensor
    origin: str = "weights"
    """The weights in words, for the message."""
    companion: str = "files beside the weights"
    """Name, in words, of the files of which `beside` is a hash."""
    beside: int = 0

    def freeze(self, *, beside: int = 0) -> None:
        """Let the weights take no gradient, in float32, and sum up their fingerprint.

        beside: a hash of what the weights are of no use without, such as a tokenizer, from -2^63 to 2^63 - 1;
        it is added to each number of the fingerprint. 0 for nothing.
        """
        self.float().requires_grad_(False).eval()
        self.beside = beside
        self.register_buffer("fingerprint", fingerprint(self) + beside)
        self.register_load_state_dict_post_hook(compare)  # type: ignore[no-untyped-call]

    def train(self, mode: bool = True) -> "FrozenWeights":
        """Remain in evaluation mode, whatever the model around it does: dropout would change the answers."""
        return super().train(False)

    def state_dict(  # type: ignore[override]  # torch overloads it by the type of `destination`
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Return the fingerprint alone, under the name that a model around it gives by `prefix`."""
        state = {} if destination is None else destination
        state[f"{prefix}fingerprint"] = self.fingerprint
        return state

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenWeights":
        """Return a copy with modules and buffers of its own, such as an average of a model has, on the same
        weights."""
        memo |= {id(weight): weight for weight in self.parameters()}
        twin = self.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


def compare(module: FrozenWeights, keys: Any) -> None:  # noqa: ANN401
    """Compare the fingerprint that was loaded with that of the weights, and expect no more (a hook of torch's
    load_state_dict). Raises ValueError where they differ.

    keys: names that torch found missing so far; those of the weights are taken from the list.
    """
    named = (*module.named_parameters(), *module.named_buffers())
    own = tuple(name for name, _ in named if name != "fingerprint")
    keys.missing_keys[:] = [name for name in keys.missing_keys if not name.endswith(own)]
    loaded, found = module.fingerprint, fingerprint(module)
    rests = {*(loaded.cpu() - found.cpu()).tolist()}  # the hash of what was beside the weights, if they agree
    loaded.copy_(found + module.beside)
    if not rests <= {module.beside} and rests != {0}:  # 0: a run from before it was counted
        what = module.companion if module.beside and len(rests) == 1 else module.origin
        raise ValueError(
            f"the {what} are not those that the run was made with: restore them, or put the new ones at "
            "another path"
        )


def fingerprint(module: nn.Module) -> Tensor:
    """Sum up the bits of each parameter, as whole numbers and so in any order: (P,) int64."""
    sums = [p.detach().flatten().view(torch.int32).sum() for p in module.parameters()]
    return torch.stack(sums) if sums else torch.zeros(0, dtype=torch.int64)
