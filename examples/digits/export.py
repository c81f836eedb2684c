"""Write the ONNX files of a checkpoint: `python -m examples.digits.export mlp runs/digits-mlp.pt --folder .`."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from ..quantised.export import export
from ..quantised.layers import clear_ties
from .data import SCALE, load
from .train import NETS


@torch.no_grad()
def finish(model: nn.Module) -> None:
    """Clear ties; in the power-of-two net, make each bias a multiple of its accumulator's step."""
    clear_ties(model)
    if not isinstance(model, nn.Sequential) or any(isinstance(layer, nn.BatchNorm1d) for layer in model):
        return
    model.eval()
    for codes, layer in pairwise(model):
        if isinstance(layer, nn.Linear):
            step = codes.act_quant.scale() * layer.quant_weight().scale
            layer.bias.copy_((layer.bias / step).round() * step)


if __name__ == "__main__":
    export(NETS, load, finish, pixel=SCALE)
