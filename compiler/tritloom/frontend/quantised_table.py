"""Embedding tables of integers: GatherBlockQuantized, as onnxruntime's quantiser and LLM builder write it.

A row is `(code - zero) * scale`, with a scale for each block of its columns. Codes are int4, uint4, or packed into
uint8, 2, 4 or 8 bits each, the lowest bits first. Without zero points the zero is 0, but in the middle of the range of
packed codes. The table becomes one of floats, in which every value is what onnxruntime computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .constants import Constant, constant_of
from .graph import input_at, int_attribute


@dataclass(frozen=True)
class QuantisedTable:
    """Codes [rows, columns] or [rows, bytes], scales and zeros [rows, blocks]."""

    codes: Constant
    scales: Constant
    zeros: Constant | None
    bits: int
    """Of a packed code; 0 where each code is an element."""
    block: int

    @property
    def columns(self) -> int:
        return self.codes.shape[1] * (8 // self.bits if self.bits else 1)

    def _unpacked(self, constant: Constant, count: int) -> NDArray[Any]:
        values: NDArray[Any] = constant.load()
        if not self.bits:
            return values.astype(np.int16)
        shifts = np.arange(0, 8, self.bits, dtype=np.uint8)
        codes: NDArray[Any] = (values[..., np.newaxis] >> shifts) & np.uint8((1 << self.bits) - 1)
        whole: NDArray[Any] = codes.reshape(len(values), -1)[:, :count].astype(np.int16)
        return whole

    def floats(self) -> NDArray[np.float32]:
        """The rows."""
        scales = self.scales.load().astype(np.float32, copy=False)
        codes, zero = self._unpacked(self.codes, self.columns), np.int16(1 << (self.bits - 1) if self.bits else 0)
        zeros = np.full((1, 1), zero) if self.zeros is None else self._unpacked(self.zeros, scales.shape[1])
        wide = np.repeat(scales, self.block, axis=1)[:, : self.columns]
        shift = zeros if zeros.size == 1 else np.repeat(zeros, self.block, axis=1)[:, : self.columns]
        rows: NDArray[np.float32] = (codes - shift).astype(np.float32) * wide
        return rows


def _constant(node: ir.Node, index: int) -> Constant | None:
    value = input_at(node, index)
    if value is None or value.const_value is None or len(value.const_value.shape) != 2:
        return None
    return constant_of(value.name or "", value.const_value)


def quantised_table(node: ir.Node) -> QuantisedTable | None:
    """The table of a GatherBlockQuantized; None where it is of another kind, or its sizes do not fit."""
    codes, scales, zeros = (_constant(node, index) for index in (0, 2, 3))
    block, axis = int_attribute(node, "block_size", 128), int_attribute(node, "quantize_axis", 1)
    if codes is None or scales is None or (zeros is None and input_at(node, 3) is not None):
        return None
    if int_attribute(node, "gather_axis", 0) or axis not in (1, -1) or block < 1 or scales.dtype != ir.DataType.FLOAT:
        return None
    packed = codes.dtype == ir.DataType.UINT8
    bits = int_attribute(node, "bits", 4) if packed else 0
    if bits not in (0, 2, 4, 8) or codes.dtype not in (ir.DataType.UINT8, ir.DataType.INT4, ir.DataType.UINT4):
        return None
    table = QuantisedTable(codes, scales, zeros, bits, block)
    blocks = -(-table.columns // block)
    stored = -(-blocks * bits // 8) if packed else blocks
    fits = scales.shape == (codes.shape[0], blocks) and (zeros is None or zeros.shape == (codes.shape[0], stored))
    return table if fits and (zeros is None or zeros.dtype == codes.dtype) else None
