"""Constants of the graph: shape and type at once, values only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError
from .external import map_external

BLOCK: Final = 1 << 20
"""Elements of a large constant that are looked at together."""


@dataclass(frozen=True, eq=False)
class Constant:
    """An initialiser, a Constant node, or the result of folding. `load` may map a file; nothing is kept."""

    name: str
    shape: tuple[int, ...]
    dtype: ir.DataType
    load: Callable[[], NDArray[np.generic]]

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def scalar(self) -> float:
        """The only element.

        Raises:
            InputError: it is NaN or infinite.
        """
        value = float(self.load().astype(np.float64).reshape(-1)[0])
        if not np.isfinite(value):
            raise InputError(
                f"constant '{self.name}' is {value}",
                "a scale, an epsilon or a bound must be finite: look for a division by zero in the export",
            )
        return value

    def finite_vector(self) -> NDArray[np.float32]:
        """The elements as a float32 vector.

        Raises:
            InputError: some are NaN or infinite.
        """
        values = self.load().astype(np.float32).reshape(-1)
        check_finite(self.name, values)
        return values


def check_finite(name: str, values: NDArray[np.generic]) -> None:
    """Refuse NaN and infinities.

    Raises:
        InputError: with the tensor, how many there are and where the first is.
    """
    flat = values.reshape(-1)
    if all(np.isfinite(flat[start : start + BLOCK]).all() for start in range(0, flat.size, BLOCK)):
        return
    finite = np.isfinite(flat)
    first = int(np.argmin(finite))
    raise InputError(
        f"tensor '{name}' holds {int(flat.size - finite.sum()):,} values that are NaN or infinite"
        f" (the first, {flat[first]}, at element {first:,} of {flat.size:,})",
        "the training diverged or the export is damaged: use an earlier checkpoint",
    )


def constant_of(name: str, tensor: ir.TensorProtocol) -> Constant:
    """Constant of an onnx-ir tensor; external data is mapped on every load."""
    shape = tuple(int(dim) for dim in tensor.shape.numpy())
    if isinstance(tensor, ir.ExternalTensor):
        external = tensor
        return Constant(name, shape, tensor.dtype, lambda: map_external(external))
    return Constant(name, shape, tensor.dtype, lambda: _embedded(name, tensor))


def _embedded(name: str, tensor: ir.TensorProtocol) -> NDArray[np.generic]:
    """Values that lie in the model file itself."""
    try:
        return tensor.numpy()
    except (ValueError, TypeError) as error:
        raise InputError(
            f"tensor '{name}' is damaged: {error}", "its data do not fit its shape and type: export the model again"
        ) from error


def constant_from(name: str, values: NDArray[np.generic]) -> Constant:
    """Constant that holds `values`."""
    tensor = ir.Tensor(values, name=name)
    return Constant(name, tuple(values.shape), tensor.dtype, lambda: values)
