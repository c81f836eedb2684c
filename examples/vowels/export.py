"""Write the ONNX files of a checkpoint: `python -m examples.vowels.export cnn runs/vowels-cnn.pt --folder .`."""

from __future__ import annotations

from ..quantised.export import export
from .data import load
from .train import NETS

if __name__ == "__main__":
    export(NETS, load)
