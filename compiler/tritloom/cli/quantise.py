"""Options for models that were not trained to be ternary, and what quantising one did and cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tritloom.errors import InputError, TritloomError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tritloom.ptq import Cost, Matrix

Method = Literal["absmean", "twn"]

Ternarise = Annotated[
    Method | None, typer.Option("--ternarise", help="Make float weights ternary, after training: this costs accuracy.")
]
Activations = Annotated[
    bool, typer.Option("--quantise-activations", help="Put absmax int8 quantisers in front of products of floats.")
]
Calibration = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", exists=True, dir_okay=False, help="Text, or .npz of tokens or vectors, to measure it on."
    ),
]


@dataclass(frozen=True)
class Quantised:
    """A quantised model: its file, what was replaced, and the cost where there were data to measure it on."""

    file: Path
    tokenizer: Path | None
    """The original's, which does not lie beside the new file."""
    matrices: list[Matrix]
    products: list[str]
    cost: Cost | None

    def to_json(self) -> dict[str, Any]:
        cost = None if self.cost is None else asdict(self.cost)
        matrices = [asdict(matrix) for matrix in self.matrices]
        return {"model": str(self.file), "matrices": matrices, "quantised_products": self.products, "cost": cost}


@dataclass(frozen=True)
class Wish:
    """What the options ask for."""

    method: Method | None
    activations: bool
    calibration: Path | None
    tokenizer: Path | None

    def __bool__(self) -> bool:
        return self.method is not None or self.activations


@contextmanager
def quantised(model: Path, wish: Wish, output: Path, force: bool = False) -> Iterator[Quantised | None]:
    """Quantise a model into `output`, which is removed again if what is done with it fails; or do nothing, if nothing
    is asked for.

    Raises:
        InputError: the model cannot be quantised, or the data are at fault.
    """
    if wish.calibration is not None and not wish:
        raise InputError(
            "--calibration measures what quantisation costs, and none is asked for",
            "add --ternarise absmean (or twn), or --quantise-activations; or leave --calibration out",
        )
    if not wish:
        yield None
        return
    from tritloom.ptq import measure, quantise, tokenizer_of, write

    found = quantise(model, wish.method, wish.activations)
    write(found.model, output, force)
    tokenizer = wish.tokenizer or tokenizer_of(model, found.imported)
    try:
        cost = None if wish.calibration is None else measure(model, output, found, wish.calibration, tokenizer)
        yield Quantised(output, tokenizer, found.matrices, found.products, cost)
    except TritloomError:
        for written in (output, output.with_name(f"{output.name}.data")):
            written.unlink(missing_ok=True)
        raise


def tables(found: Quantised) -> list[RenderableType]:
    """What became trits."""
    from .console import table

    rows = [
        (one.name, " x ".join(map(str, one.shape)), f"{one.zeros:.1%}", f"{one.scale:.4g}", f"{one.rms:.1%}")
        for one in found.matrices
    ]
    title = "Made ternary after training"
    return (
        [table(("weight", "shape", "zeros", "scale", "rms off"), rows, title=title, right=" >>>>"), ""] if rows else []
    )


def _cost(cost: Cost) -> str:
    if cost.bits is None:
        return (
            f"Cost, measured on {cost.tokens} vectors of {cost.data}: the largest output is the same at"
            f" {cost.agreement:.1%}; outputs {cost.rms:.1%} rms off."
        )
    return (
        f"Cost, measured on {cost.tokens} tokens of {cost.data}: {cost.original_bits:.3f} bits per token before,"
        f" {cost.bits:.3f} after; the likeliest token is the same at {cost.agreement:.1%};"
        f" logits {cost.rms:.1%} rms off."
    )


def sentences(found: Quantised) -> str:
    """What was done to activations, and what all of it costs."""
    lines = []
    if found.products:
        lines.append(f"{len(found.products)} products got an absmax int8 quantiser in front.")
    cost = found.cost
    if not found.matrices and not found.products:
        lines.append("There was nothing to quantise.")
    elif cost is None:
        lines.append("What this costs in accuracy is unknown: --calibration FILE measures it.")
    else:
        lines.append(_cost(cost))
    return "\n".join(lines)
