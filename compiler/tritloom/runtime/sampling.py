"""Drawing a token from logits: temperature, top-k, top-p, on the host, repeatable by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import InputError


@dataclass(frozen=True)
class Sampling:
    """How to draw: `top_k` 0 and `top_p` 1 leave all tokens in.

    Raises:
        InputError: a value out of range.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        problems = (
            (not 0 < self.temperature < float("inf"), f"temperature={self.temperature}", "above 0"),
            (self.top_k < 0, f"top_k={self.top_k}", "0 (all) or more"),
            (not 0 < self.top_p <= 1, f"top_p={self.top_p}", "above 0, at most 1"),
        )
        for wrong, shown, wanted in problems:
            if wrong:
                raise InputError(f"{shown} is out of range", f"give a value that is {wanted}")

    def draw(self, logits: npt.NDArray[np.float32], random: np.random.Generator) -> int:
        """A token, drawn from logits float32 [vocab] in binary64; one random number a call."""
        order = np.argsort(-logits.astype(np.float64), kind="stable")
        if self.top_k:
            order = order[: self.top_k]
        scaled = logits[order].astype(np.float64) / self.temperature
        weights = np.exp(scaled - scaled[0])
        cumulative = np.cumsum(weights)
        if self.top_p < 1:
            # the token that crosses the threshold stays in, so at least one does
            keep = int(np.searchsorted(cumulative, self.top_p * cumulative[-1])) + 1
            order, cumulative = order[:keep], cumulative[:keep]
        chosen = int(np.searchsorted(cumulative, random.random() * cumulative[-1], side="right"))
        return int(order[min(chosen, len(order) - 1)])
