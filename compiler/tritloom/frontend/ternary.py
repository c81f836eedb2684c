"""Ternary matrices behind a product: where their values are, and how trits and scale are computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError
from .constants import Constant, check_finite
from .encodings import STORED, AsStored, Encoding, Masters, absmean
from .not_ternary import NotTernary

TIE = 1e-5
"""A master weight this near to a rounding boundary, in units of the scale, may round differently in onnxruntime."""
RESIDUE = 2e-6
"""Magnitudes this near to each other are one scale: what folding `w + (q - w)` leaves of it."""

Trits = NDArray[np.int8]
Scale = float | NDArray[np.float64]
"""One for the matrix, or one a row."""
SourceKey = tuple[str, bool, Encoding]


@dataclass(frozen=True, eq=False)
class TernarySource:
    """A matrix [rows, cols] of the graph: a constant, and how its codes are written in it."""

    constant: Constant
    transposed: bool
    encoding: Encoding = STORED

    @property
    def key(self) -> SourceKey:
        """Equal for the same matrix."""
        return self.constant.name, self.transposed, self.encoding

    @property
    def rows(self) -> int:
        return self.encoding.shape(self.constant)[1 if self.transposed else 0]

    @property
    def cols(self) -> int:
        return self.encoding.shape(self.constant)[0 if self.transposed else 1]

    @property
    def in_place(self) -> bool:
        """Whether the trits can be read where they are stored."""
        return isinstance(self.encoding, AsStored) and self.constant.dtype == ir.DataType.INT8

    def read(self) -> tuple[Trits, Scale]:
        """Trits [rows, cols], perhaps a view of the file, and the scale that the stored values have.

        Raises:
            InputError: the values are not ternary, or not finite, or their scales differ inside of a row.
        """
        codes = self.encoding.codes(self.constant)
        codes = codes.T if self.transposed else codes
        trits, scale = _split(self.constant, codes, self.transposed)
        grid = self.encoding.scale()
        if grid is not None:
            scale = scale * self._row_scales(trits, grid.T if self.transposed else grid)
        return trits, scale

    def _row_scales(self, trits: Trits, grid: NDArray[np.float64]) -> Scale:
        """One scale a row (or one), of a grid whose blocks of one row agree; a block of zeros agrees with any."""
        if grid.size == 1:
            return float(grid[0, 0])
        grid = np.repeat(grid, -(-self.rows // grid.shape[0]), axis=0)[: self.rows]
        if len(grid) != self.rows or grid.shape[1] > self.cols:
            raise InputError(
                f"the scales of tensor '{self.constant.name}' are {grid.shape[0]} x {grid.shape[1]},"
                f" its weights {self.rows} x {self.cols}",
                "the model file is damaged, or its blocks are unequal: export it again",
            )
        if grid.shape[1] == 1:
            return grid[:, 0]
        used = np.logical_or.reduceat(trits != 0, np.arange(0, self.cols, -(-self.cols // grid.shape[1])), axis=1)
        if used.shape != grid.shape:
            raise InputError(
                f"tensor '{self.constant.name}' has {grid.shape[1]} blocks of scales for {self.cols} inputs",
                "the model file is damaged, or its blocks are unequal: export it again",
            )
        largest = np.where(used, grid, -np.inf).max(axis=1)
        smallest = np.where(used, grid, np.inf).min(axis=1)
        if (smallest < largest).any():
            row = int(np.argmax(smallest < largest))
            raise InputError(
                f"tensor '{self.constant.name}' has scales that differ inside of a row"
                f" (row {row:,}: {smallest[row]:g} to {largest[row]:g})",
                "the engine rescales whole rows: train with one scale for the tensor, or one for each output",
            )
        return np.where(np.isfinite(largest), largest, 1.0)

    def trits(self) -> Trits:
        """Trits [rows, cols]: the loader of the weight store."""
        return np.ascontiguousarray(self.read()[0])

    def near_ties(self) -> int:
        """Masters so near to a rounding boundary that onnxruntime, which sums mean|W| in float32, may differ."""
        if not isinstance(self.encoding, Masters):
            return 0
        values = self.constant.load()
        beta = absmean(values, self.encoding.floor, self.encoding.axis).astype(np.float64)
        ratio = np.abs(values.astype(np.float64)) / beta
        return int(np.count_nonzero(np.abs(ratio - 0.5) < TIE))


def _split(constant: Constant, values: NDArray[Any], transposed: bool) -> tuple[Trits, Scale]:
    """Trits and scale of values [rows, cols]."""
    integer = values.dtype.kind in "iu"
    if not integer:
        values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float32)
        check_finite(constant.name, values)
    largest = max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0
    if integer and largest <= 1:
        return values.astype(np.int8, copy=False), 1.0
    if largest == 0.0:
        return np.zeros(values.shape, np.int8), 1.0
    magnitudes = np.abs(values.astype(np.int32)) if integer else np.abs(values)
    for axis in (None, 1):
        scale = _common_scale(magnitudes, axis)
        if scale is not None:
            return np.sign(values).astype(np.int8), scale if axis else float(scale[0])
    raise NotTernary(constant, values.T if transposed else values)


def _common_scale(magnitudes: NDArray[Any], axis: int | None) -> NDArray[np.float64] | None:
    """The one magnitude beside zero, of all or of each row; None where there are several."""
    used = magnitudes > 0
    largest = magnitudes.max(axis=axis, keepdims=True)
    smallest = np.min(magnitudes, axis=axis, keepdims=True, where=used, initial=magnitudes.max())
    spread = smallest.astype(np.float64) < largest.astype(np.float64) * (1.0 - RESIDUE)
    if (spread & (largest > 0)).any():
        return None
    if ((smallest < largest) & (largest > 0)).any():
        counted = np.where(used | (largest == 0), magnitudes, np.nan)
        largest = np.nanmedian(counted, axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest, 1).astype(np.float64)
    return scales.reshape(-1)
