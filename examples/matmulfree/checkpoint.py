"""Checkpoints: safetensors with the configuration as metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from model import MatMulFreeLM, ModelConfig
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_model(model: MatMulFreeLM, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write the parameters in `dtype`; a float16 checkpoint is half the size."""
    tensors: dict[str, Tensor] = {
        name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in model.state_dict().items()
    }
    save_file(tensors, path, metadata={"config": json.dumps(asdict(model.config))})


def load_model(path: Path) -> MatMulFreeLM:
    """Read a checkpoint into a float32 model in eval mode."""
    with safe_open(path, framework="pt") as file:
        config = ModelConfig(**json.loads(file.metadata()["config"]))
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    model = MatMulFreeLM(config)
    model.load_state_dict(tensors)
    return model.eval()
