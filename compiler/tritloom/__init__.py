"""tritloom: a compiler of ternary neural networks to FPGA overlays."""

__version__ = "0.1.0"
