"""Make the checkpoint in tests/fixtures/export/: the released layout, small and random, with the logits of this module.

    python export_fixture.py ../../tests/fixtures/export

`model.safetensors` holds bfloat16 masters, as published checkpoints often do; `expected.npz` the tokens, and the logits
and last states of `MatMulFreeLM.step` in float32 on these very weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from model import BitLinear, MatMulFreeLM, ModelConfig, quantize_activations
from safetensors.torch import save_file

CONFIG = ModelConfig(vocab=96, hidden=32, layers=3, intermediate=48)
TOKENS = 16
MARGIN = 1e-4
"""Least distance to a rounding boundary, in codes: nearer, the last bit of a sum would move a logit by a percent."""


def make_model(seed: int) -> MatMulFreeLM:
    """A model with random gains, bounds and weights, all of them bfloat16 values."""
    torch.manual_seed(seed)
    model = MatMulFreeLM(CONFIG).eval()
    with torch.no_grad():
        model.model.embeddings.weight.normal_()
        model.model.lower_bounds.normal_()
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.bfloat16().float())
    return model


@torch.no_grad()
def run(model: MatMulFreeLM, ids: torch.Tensor) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Logits [V] of every token, the last states, and how near a code came to a rounding boundary."""
    margins: list[float] = []

    def watch(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        assert isinstance(module, BitLinear)
        y = module.norm(inputs[0])
        exact = y * quantize_activations(y)[1]
        margins.append(float((exact - exact.floor() - 0.5).abs().min()))

    for module in model.modules():
        if isinstance(module, BitLinear):
            module.register_forward_hook(watch)
    states, rows = model.initial_states(1), []
    for token in ids:
        logits, states = model.step(token.reshape(1), states)
        rows.append(logits[0].numpy())
    return rows, [state[0].numpy() for state in states], min(margins)


def hf_config() -> dict[str, object]:
    """config.json as transformers writes it for HGRNBitForCausalLM."""
    return {
        "architectures": ["HGRNBitForCausalLM"],
        "attn_mode": "fused_recurrent",
        "bos_token_id": 1,
        "conv_size": 4,
        "eos_token_id": 2,
        "expand_ratio": 1,
        "fuse_cross_entropy": True,
        "hidden_act": "swish",
        "hidden_ratio": 4,
        "hidden_size": CONFIG.hidden,
        "initializer_range": 0.02,
        "intermediate_size": CONFIG.intermediate,
        "max_position_embeddings": 2048,
        "model_type": "hgrn_bit",
        "num_heads": 1,
        "num_hidden_layers": CONFIG.layers,
        "rms_norm_eps": 1e-06,
        "share_conv_kernel": True,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_lower_bound": True,
        "use_short_conv": False,
        "vocab_size": CONFIG.vocab,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    for seed in range(10_000):
        model = make_model(seed)
        ids = torch.randint(CONFIG.vocab, (TOKENS,))
        logits, states, margin = run(model, ids)
        if margin > MARGIN:
            break
    args.output.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().bfloat16().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, args.output / "model.safetensors", metadata={"format": "pt"})
    (args.output / "config.json").write_text(json.dumps(hf_config(), indent=2) + "\n")
    np.savez_compressed(
        args.output / "expected.npz", tokens=ids.numpy(), logits=np.stack(logits), states=np.stack(states)
    )
    print(f"seed {seed}: every code is at least {margin:.1e} from a rounding boundary")


if __name__ == "__main__":
    main()
