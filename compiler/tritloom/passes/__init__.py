"""Passes from the imported model to a scheduled engine program, and the pipeline that runs them."""

from .context import CompilerContext
from .pipeline import (
    NET_PIPELINE,
    PASSES,
    PIPELINE,
    PassObserver,
    PassRecord,
    default_passes,
    net_passes,
    op_count,
    parse_passes,
    run_passes,
)

__all__ = [
    "NET_PIPELINE",
    "PASSES",
    "PIPELINE",
    "CompilerContext",
    "PassObserver",
    "PassRecord",
    "default_passes",
    "net_passes",
    "op_count",
    "parse_passes",
    "run_passes",
]
