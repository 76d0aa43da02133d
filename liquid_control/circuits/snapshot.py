"""What was computed from a network's parameters, kept for as long as these stay what they were.

Values are compared, not version counters: a change by `parameter.data` or through a numpy view
raises no counter. Comparing the 1,135 numbers of the flagship takes 1.6 microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from liquid_control.circuits.fused_sequence import compiled, plain

__all__ = ["Snapshot"]


class Snapshot:
    """Computes something from some tensors of a module, anew only where one of them changed.

    Copies and pickles of it are empty, as tensors of a copied module are others.

    Args:
        names: of parameters and buffers, as in `named_parameters`.
        make: a function of the module and of their values in this order, one flat float32 array;
            it returns what is kept.
    """

    def __init__(self, names: tuple[str, ...], make: Callable[[Any, np.ndarray], Any]) -> None:
        self._names = names
        self._make = make
        self._taken: _Taken | None = None

    def __reduce__(self) -> tuple:
        return Snapshot, (self._names, self._make)

    def of(self, module: nn.Module) -> Any | None:
        """What the module's present tensors come to.

        None where one of them is no contiguous float32 tensor on the CPU or is computed itself, as
        by `torch.nn.utils.parametrize`.
        """
        taken = self._taken
        if taken is None or taken.module is not module or not taken.holds():
            taken = self._taken = _take(module, self._names, self._make)
        return None if taken is None else taken.made


class _Taken:
    def __init__(self, module: nn.Module, links: list[tuple], tensors: list[Tensor]) -> None:
        self.module = module
        self.links = links
        # These keep the memory, so that it is not given to another tensor meanwhile.
        self.views = [tensor.detach() for tensor in tensors]
        self.addresses = [(tensor.data_ptr, tensor.data_ptr()) for tensor in tensors]
        places = [
            (address, tensor.numel())
            for (_, address), tensor in zip(self.addresses, tensors, strict=True)
        ]
        self.places = np.array(places, np.int64)
        self.values = np.concatenate([view.numpy().reshape(-1) for view in self.views])
        self.made: Any = None
        self.unchanged = compiled("fused_parameters").unchanged

    def holds(self) -> bool:
        for owner, name, value in self.links:
            if owner.get(name) is not value:
                return False
        for address_of, address in self.addresses:
            if address_of() != address:
                return False
        return self.unchanged(self.places, self.values)


def _take(module: nn.Module, names: tuple[str, ...], make: Callable) -> _Taken | None:
    links, tensors = {}, []
    for name in names:
        owner = module
        *path, last = name.split(".")
        for part in path:
            links[id(owner._modules), part] = (owner._modules, part, owner._modules[part])
            owner = owner._modules[part]
        where = owner._parameters if last in owner._parameters else owner._buffers
        tensor = where.get(last)
        if tensor is None or not plain(tensor) or not tensor.is_contiguous():
            return None
        links[id(where), last] = (where, last, tensor)
        tensors.append(tensor)
    taken = _Taken(module, list(links.values()), tensors)
    taken.made = make(module, taken.values)
    return taken
