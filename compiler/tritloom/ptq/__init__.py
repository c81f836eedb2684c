"""Post-training quantisation: float weights to trits, float activations to absmax codes, and what that costs."""

from .cost import Cost, measure, tokenizer_of
from .rewrite import Matrix, Rewritten, quantise, write

__all__ = ["Cost", "Matrix", "Rewritten", "measure", "quantise", "tokenizer_of", "write"]
