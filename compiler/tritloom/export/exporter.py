"""`export_checkpoint`: from a checkpoint folder to an ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import InputError
from .config import SUPPORTED, Config, read_config
from .layout import check_layout
from .safetensors import open_checkpoint
from .step import StepBuilder
from .writer import Progress, copy_beside, data_path, write_model, writing

TOKENIZER: Final = "tokenizer.json"


@dataclass(frozen=True)
class Exported:
    """What was written, and of what model."""

    config: Config
    form: str
    files: list[Path]
    warnings: list[str]


def _metadata(config: Config, form: str, tokenizer: bool) -> dict[str, str]:
    """`metadata_props`: what a host needs besides the graph."""
    entries = {
        "tritloom.model_type": SUPPORTED,
        "tritloom.form": form,
        "tritloom.tokenizer": TOKENIZER if tokenizer else None,
        "tritloom.bos_token_id": config.bos,
        "tritloom.eos_token_id": config.eos,
        "tritloom.states": ",".join(f"state.{layer}=state.{layer}.out" for layer in range(config.layers)),
        "tritloom.ternary_weights": config.ternary_weights,
    }
    return {key: str(value) for key, value in entries.items() if value is not None}


def export_checkpoint(
    folder: Path,
    output: Path,
    *,
    naive: bool = False,
    force: bool = False,
    external_data: bool | None = None,
    progress: Progress = lambda name: None,
) -> Exported:
    """Write the decoding step of a checkpoint; `external_data` None puts it in a file of its own over 64 MiB.

    Raises:
        InputError: the checkpoint or the output is at fault; nothing has been written.
    """
    _check_output(output)
    config = read_config(folder)
    tensors = open_checkpoint(folder)
    check_layout(folder, config, tensors)
    form = "naive" if naive else "baked"
    tokenizer = folder / TOKENIZER
    has_tokenizer = tokenizer.is_file()
    with writing(output, force) as files:
        if has_tokenizer:
            copy_beside(files, tokenizer, TOKENIZER)
        step = StepBuilder(config, tensors, naive).build()
        write_model(files, step, _metadata(config, form, has_tokenizer), external_data, progress)
        written = [output, *(path for path in files.files if path != output)]
    warnings = [] if has_tokenizer else [f"{folder} holds no {TOKENIZER}: give one to compile with --tokenizer"]
    if data_path(output) not in written and data_path(output).exists():
        warnings.append(f"{data_path(output)} is of an earlier export, and not needed any more")
    return Exported(config, form, written, warnings)


def _check_output(output: Path) -> None:
    if output.suffix != ".onnx":
        raise InputError(f"the output {output} has no name that ends in .onnx", "give one: -o model.onnx")
