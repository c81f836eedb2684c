"""The patterns, tried in this order; the first that matches wins. A new one is a file and a line here."""

from typing import Final

from . import constant, elementwise, embedding, linear, quantizer, recurrence, rms_norm, silu, split, state
from .base import Match, Pattern

PATTERNS: Final = (
    Pattern("constant", constant.match),
    Pattern("state", state.match),
    Pattern("recurrence", recurrence.match),
    Pattern("embedding", embedding.match),
    Pattern("linear", linear.match),
    Pattern("rms-norm", rms_norm.match),
    Pattern("absmax-quantizer", quantizer.match),
    Pattern("silu", silu.match),
    Pattern("split", split.match),
    Pattern("elementwise", elementwise.match),
)

__all__ = ["PATTERNS", "Match", "Pattern"]
