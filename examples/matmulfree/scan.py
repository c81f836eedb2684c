"""The recurrence `h_t = f_t * h_{t-1} + c_t` over a whole sequence, in log2(T) passes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def _shift(x: Tensor, by: int, fill: float) -> Tensor:
    """`x` [B, T, d] moved `by` steps later in time, the gap filled with `fill`."""
    return F.pad(x, (0, 0, by, 0), value=fill)[:, : x.shape[1]]


def _scan(f: Tensor, c: Tensor) -> Tensor:
    """`h` [B, T, d] from a zero start, by doubling (Hillis and Steele)."""
    stride = 1
    while stride < f.shape[1]:
        c = c + f * _shift(c, stride, 0.0)
        f = f * _shift(f, stride, 1.0)
        stride *= 2
    return c


class _LinearScan(torch.autograd.Function):
    """The scan with its own backward pass, which is the same scan backwards in time."""

    @staticmethod
    def forward(ctx: Any, f: Tensor, c: Tensor) -> Tensor:
        h = _scan(f, c)
        ctx.save_for_backward(f, h)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        f, h = ctx.saved_tensors
        # dL/dh_t = g_t + f_{t+1} * dL/dh_{t+1}
        later = _shift(f.flip(1), 1, 0.0)
        grad_c = _scan(later, grads[0].flip(1)).flip(1)
        return grad_c * _shift(h, 1, 0.0), grad_c


def linear_scan(f: Tensor, c: Tensor, h0: Tensor) -> Tensor:
    """All states `h` [B, T, d] for gates `f`, inputs `c` [B, T, d] and start `h0` [B, d]."""
    first = c[:, :1] + f[:, :1] * h0.unsqueeze(1)
    h: Tensor = _LinearScan.apply(  # type: ignore[no-untyped-call]
        f, torch.cat([first, c[:, 1:]], dim=1)
    )
    return h
