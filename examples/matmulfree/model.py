"""A small, readable MatMul-free language model (arXiv 2406.02528) for training.

The arithmetic is that of the released code: HGRN (MLGRU) token mixer, GLU channel mixer, every
projection a BitLinear, a ternary head with a norm of its own. Parameters are named as in the
released checkpoints (`model.layers.N.attn.i_proj.weight`, ...). `ModelConfig.ternary = False`
gives the same architecture with float weights and float activations, for comparison.

Shapes: B sequences, T tokens, d channels, I channels inside the GLU, V tokens, L layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from scan import linear_scan
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6
"""Epsilon of every RMSNorm, those inside a BitLinear included."""

FLOOR = 1e-5
"""Least absmax of an activation vector and least mean |W|, as in the released code."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model. `hidden` is d, `intermediate` is I."""

    vocab: int = 2048
    hidden: int = 384
    layers: int = 6
    intermediate: int = 1024
    ternary: bool = True
    dropout: float = 0.0

    @property
    def ternary_weights(self) -> int:
        """Number of weights in BitLinears, the head included."""
        layer = 4 * self.hidden**2 + 3 * self.hidden * self.intermediate
        return self.layers * layer + self.vocab * self.hidden


def quantize_activations(y: Tensor) -> tuple[Tensor, Tensor]:
    """Int8 codes (as floats) of each vector of `y` [..., K] and their scale `s` [..., 1]."""
    s = 127.0 / y.abs().amax(-1, keepdim=True).clamp(min=FLOOR)
    return (y * s).round().clamp(-128, 127), s


def quantize_weights(w: Tensor) -> tuple[Tensor, Tensor]:
    """Trits {-1, 0, 1} (as floats) of `w` [N, K] and their scale `beta` [] = mean |W|."""
    beta = w.abs().mean().clamp(min=FLOOR)
    return (w / beta).round().clamp(-1, 1), beta


class _TernaryProduct(torch.autograd.Function):
    """`(T q) * (beta / s)`, with straight-through gradients for both quantisers.

    On CUDA the products run in bfloat16 (codes and trits are exact in it) with float32 sums.
    """

    @staticmethod
    def forward(ctx: Any, y: Tensor, w: Tensor) -> Tensor:
        q, s = quantize_activations(y)
        t, beta = quantize_weights(w)
        dtype = torch.bfloat16 if y.is_cuda else torch.float32
        q, t = q.to(dtype), t.to(dtype)
        ctx.save_for_backward(q, s, t, beta)
        return F.linear(q, t).float() * (beta / s)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        q, s, t, beta = ctx.saved_tensors
        g = grads[0]
        grad_y = (g.to(q.dtype) @ t).float() * beta
        scaled = (g / s).to(q.dtype).flatten(0, -2)
        grad_w = (scaled.t() @ q.flatten(0, -2)).float()
        return grad_y, grad_w


class RMSNorm(nn.Module):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


class BitLinear(nn.Module):
    """RMSNorm -> per-token absmax int8 -> ternary weights -> rescale. Weight is [N, K]."""

    def __init__(self, inputs: int, outputs: int, ternary: bool) -> None:
        super().__init__()
        self.ternary = ternary
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.norm = RMSNorm(inputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        if self.ternary:
            out: Tensor = _TernaryProduct.apply(y, self.weight)  # type: ignore[no-untyped-call]
            return out
        dtype = torch.bfloat16 if y.is_cuda else torch.float32
        return F.linear(y.to(dtype), self.weight.to(dtype)).float()


class HGRNMixer(nn.Module):
    """The token mixer: a gated recurrence `h_t = f_t * h_{t-1} + c_t` per channel."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, ternary = config.hidden, config.ternary
        self.i_proj = BitLinear(d, d, ternary)
        self.f_proj = BitLinear(d, d, ternary)
        self.g_proj = BitLinear(d, d, ternary)
        self.g_norm = RMSNorm(d)
        self.o_proj = BitLinear(d, d, ternary)

    def gates(self, x: Tensor, bound: Tensor | None) -> tuple[Tensor, Tensor]:
        """Forget gate `f` and input `c` of the recurrence, both shaped like `x` [..., d]."""
        f = torch.sigmoid(self.f_proj(x))
        if bound is not None:
            f = bound + (1 - bound) * f
        return f, F.silu(self.i_proj(x)) * (1 - f)

    def output(self, x: Tensor, h: Tensor) -> Tensor:
        """The mixer's output [..., d]: the norm is on the gate, the SiLU on the state `h`."""
        o = self.g_norm(self.g_proj(x)) * h * torch.sigmoid(h)
        out: Tensor = self.o_proj(o)
        return out

    def forward(self, x: Tensor, bound: Tensor | None, h0: Tensor) -> tuple[Tensor, Tensor]:
        """All of `x` [B, T, d] at once, from state `h0` [B, d]; returns the last state too."""
        f, c = self.gates(x, bound)
        h = linear_scan(f, c, h0)
        return self.output(x, h), h[:, -1]

    def step(self, x: Tensor, bound: Tensor | None, h: Tensor) -> tuple[Tensor, Tensor]:
        """One token: `x` [B, d], state `h` [B, d] -> output [B, d], new state [B, d]."""
        f, c = self.gates(x, bound)
        h = f * h + c
        return self.output(x, h), h


class GLUMixer(nn.Module):
    """The channel mixer: `down(silu(u) * v)` with `[u | v] = gate(x)`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = BitLinear(config.hidden, 2 * config.intermediate, config.ternary)
        self.down_proj = BitLinear(config.intermediate, config.hidden, config.ternary)

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.gate_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(u) * v)
        return out


class Block(nn.Module):
    """One layer: pre-norm token mixer, then pre-norm channel mixer, each with a residual."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attn_norm = RMSNorm(config.hidden)
        self.attn = HGRNMixer(config)
        self.mlp_norm = RMSNorm(config.hidden)
        self.mlp = GLUMixer(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, bound: Tensor | None, h0: Tensor) -> tuple[Tensor, Tensor]:
        mixed, h = self.attn(self.attn_norm(x), bound, h0)
        x = x + self.dropout(mixed)
        return x + self.dropout(self.mlp(self.mlp_norm(x))), h

    def step(self, x: Tensor, bound: Tensor | None, h: Tensor) -> tuple[Tensor, Tensor]:
        mixed, h = self.attn.step(self.attn_norm(x), bound, h)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), h


class Backbone(nn.Module):
    """Embedding, layers and final norm (the checkpoint's `model.*`)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(config.vocab, config.hidden)
        self.lower_bounds = nn.Parameter(torch.zeros(config.layers, config.hidden))
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden)

    def bounds(self) -> list[Tensor | None]:
        """Lower bound [d] of each layer's forget gate; layer 0's is zero, so it has none."""
        cumulated = self.lower_bounds.softmax(0).cumsum(0)
        table = cumulated - cumulated[0]
        return [None] + [table[n] for n in range(1, len(self.layers))]


class MatMulFreeLM(nn.Module):
    """The language model: a sequence path for training and a step path for decoding."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head = BitLinear(config.hidden, config.vocab, config.ternary)
        self.dropout = nn.Dropout(config.dropout)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        """Normal weights of 0.02; those that write to the residual are scaled by depth."""
        if isinstance(module, (BitLinear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, (HGRNMixer, GLUMixer)):
            last = module.o_proj if isinstance(module, HGRNMixer) else module.down_proj
            with torch.no_grad():
                last.weight.div_(math.sqrt(2 * self.config.layers))

    def initial_states(self, batch: int) -> list[Tensor]:
        """Zero states, one [batch, d] a layer."""
        zeros = self.model.embeddings.weight.new_zeros(batch, self.config.hidden)
        return [zeros for _ in range(self.config.layers)]

    def forward(self, ids: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, T, V] of all positions of `ids` [B, T], and the states after the last."""
        x = self.dropout(self.model.embeddings(ids))
        new_states = []
        for block, bound, h0 in zip(self.model.layers, self.model.bounds(), states, strict=True):
            x, h = block(x, bound, h0)
            new_states.append(h)
        return self.lm_head(self.model.norm(x)), new_states

    def step(self, ids: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One decoding step: `ids` [B], states [B, d] a layer -> logits [B, V], new states."""
        x = self.model.embeddings(ids)
        new_states = []
        for block, bound, h in zip(self.model.layers, self.model.bounds(), states, strict=True):
            assert isinstance(block, Block)
            x, h_new = block.step(x, bound, h)
            new_states.append(h_new)
        return self.lm_head(self.model.norm(x)), new_states
