"""The version of the runtime: that of the compiler it is released with."""

from __future__ import annotations

__version__ = "0.1.0"
