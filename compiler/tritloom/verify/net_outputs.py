"""Outputs of a net against the reference, end to end: scores and classes, values and indices of the best."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..ir import tern
from ..ir.interpreter.net import net_of, to_channels_last
from ..ir.mlir import ModuleOp, SSAValue
from .report import Check, Figure

Array = NDArray[Any]
Outputs = Mapping[str, Array]

NEAR: Final = 1e-6
"""Values may differ by this share of their range, and two values this near count as equal."""
_LISTED: Final = 3


@dataclass
class OutputCheck(ABC):
    """Gathers an output, portion by portion.

    A frame in which a code differs at a tie goes another way from there on. So it is compared by what comes of the
    reference's own codes, and what it gives end to end is told.
    """

    port: tern.PortAttr
    value: SSAValue
    title: str
    labels: Array | None
    best: tern.TopKOp | None = None
    """What has ranked, where it is of the best channels."""
    ours: list[Array] = field(default_factory=list)
    """End to end."""
    local: list[Array] = field(default_factory=list)
    """From the reference's codes."""
    truth: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)
    """What the reference ranks, channels last."""
    tied: list[NDArray[np.bool_]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The ONNX tensor."""
        return self.port.tensor.data

    @property
    def ranked(self) -> str:
        """The ONNX tensor that is ranked; nothing where none is."""
        return self.best.ranks.tensor.data if self.best is not None and self.best.ranks is not None else ""

    def add(self, ours: Outputs, local: Outputs, truth: Outputs, tied: NDArray[np.bool_]) -> None:
        """Outputs of further frames, and which of these hold a code at a tie."""
        for into, outputs in ((self.ours, ours), (self.local, local), (self.truth, truth)):
            into.append(_vectors(outputs[self.name], self.port, self.value))
        if self.best is not None and self.best.ranks is not None:
            self.values.append(_vectors(truth[self.ranked], self.best.ranks, self.best.operand))
        self.tied.append(tied)

    def uncompared(self, ours: Outputs, why: str) -> Check:
        """The check where there is no reference."""
        figures: dict[str, Figure] = {"frames": 0}
        accuracy = self._accuracy(_vectors(ours[self.name], self.port, self.value), figures)
        return Check(self.title, True, f"not compared: {why}{accuracy}", figures, skipped=True)

    def check(self, all_ours: Outputs, reference: str) -> Check:
        """Compare. `all_ours`: our outputs of all frames, for the accuracy."""
        ours, local, truth = (np.concatenate(parts) for parts in (self.ours, self.local, self.truth))
        tied = np.concatenate(self.tied)
        figures: dict[str, Figure] = {"frames": len(truth), "ties": int(tied.sum())}
        compared = np.where(tied[:, np.newaxis, np.newaxis], local, ours)
        detail, findings, notes = self._compare(compared, ours, truth, tied, reference, figures)
        if tied.any():
            notes.append(f"{int(tied.sum())} frames hold a code at a tie: compared from {reference}'s codes")
        accuracy = self._accuracy(_vectors(all_ours[self.name], self.port, self.value), figures)
        if findings:
            return Check(self.title, False, f"{self._wrong(reference)}{accuracy}", figures, [*findings, *notes])
        return Check(self.title, True, detail + accuracy, figures, notes)

    @abstractmethod
    def _compare(
        self,
        compared: Array,
        ours: Array,
        truth: Array,
        tied: NDArray[np.bool_],
        reference: str,
        figures: dict[str, Figure],
    ) -> tuple[str, list[str], list[str]]:
        """What is equal; what is not; what is told besides."""

    @abstractmethod
    def _wrong(self, reference: str) -> str:
        """What is said where something is not equal."""

    def _classes(self, vectors: Array) -> Array | None:
        """The class of each frame, where this output tells it."""
        return None

    def _accuracy(self, vectors: Array, figures: dict[str, Figure]) -> str:
        """What share of the labelled frames is classified rightly, as text; also into `figures`."""
        classes = None if self.labels is None else self._classes(vectors[: len(self.labels)])
        if classes is None or self.labels is None:
            return ""
        share = float(np.mean(classes == self.labels))
        figures["accuracy"] = share
        return f"; accuracy {share:.1%} over {len(self.labels)} labelled frames"


def _vectors(values: Array, port: tern.PortAttr, value: SSAValue) -> Array:
    """[frames, vectors, channels] of an ONNX tensor that a value of the net stands for."""
    return to_channels_last(values, port).reshape(len(values), -1, tern.shape_of(value)[-1])


@dataclass
class FloatCheck(OutputCheck):
    """Scores of all channels or functions of them, or values of the best."""

    whole: bool = True
    """All channels: their largest is the class."""
    below_zero: bool = False
    """Logarithms of shares: 0 counts into their range."""

    def _compare(
        self,
        compared: Array,
        ours: Array,
        truth: Array,
        tied: NDArray[np.bool_],
        reference: str,
        figures: dict[str, Figure],
    ) -> tuple[str, list[str], list[str]]:
        basis = np.concatenate(self.values) if self.values else truth
        span = max(float(np.ptp(np.append(basis, 0.0) if self.below_zero else basis)), float(np.finfo(np.float32).tiny))
        distance = np.abs(compared.astype(np.float64) - truth) / span
        figures |= {"largest": float(distance.max(initial=0)), "limit": NEAR}
        findings, notes, equal = _far(compared, truth, distance), [], ""
        if self.whole:
            equal, wrong, near = _classes_equal(ours, truth, tied, span, reference, figures)
            findings, notes = findings + wrong, near
        return f"{equal}{self.title} within {distance.max():.1e} of their range (limit {NEAR:g})", findings, notes

    def _wrong(self, reference: str) -> str:
        return f"{self.title} {'or classes ' if self.whole else ''}are not {reference}'s"

    def _classes(self, vectors: Array) -> Array | None:
        return vectors.reshape(len(vectors), -1).argmax(axis=1) if self.whole else None


def _far(ours: Array, truth: Array, distance: Array) -> list[str]:
    places = np.argwhere(~(distance <= NEAR))
    if not len(places):
        return []
    place = tuple(map(int, places[0]))
    values = f"{ours[place]:.9g}, reference {truth[place]:.9g}"
    frames = len(np.unique(places[:, 0]))
    return [f"frame {place[0]}, score {place[-1]}: {values}; {frames} of {len(truth)} frames differ"]


def _classes_equal(
    ours: Array, truth: Array, tied: NDArray[np.bool_], span: float, reference: str, figures: dict[str, Figure]
) -> tuple[str, list[str], list[str]]:
    """How many frames have the reference's class; which have not, and which do not count."""
    ours, truth = (values.reshape(len(values), -1) for values in (ours, truth))
    findings, notes = [], []
    same = ours.argmax(axis=1) == truth.argmax(axis=1)
    for frame in np.flatnonzero(~same):
        text = f"frame {frame}: class {ours[frame].argmax()}, {reference} has {truth[frame].argmax()}"
        gap = float(truth[frame].max() - truth[frame, ours[frame].argmax()])
        if gap <= NEAR * span:
            notes.append(f"{text}, whose scores of the two differ by {gap:.1e}")
        elif tied[frame]:
            notes.append(f"{text}: a code of it is at a tie")
        else:
            findings.append(text)
    equal = int(same.sum())
    figures["classes_equal"] = equal
    tie = f", {len(same) - equal} at a tie" if not same.all() else ""
    return f"{equal:,} of {len(same):,} classes equal{tie}, ", findings, notes


@dataclass
class IndexCheck(OutputCheck):
    """Indices of the best channels. Where the values of two differ by next to nothing, either may stand."""

    def _compare(
        self,
        compared: Array,
        ours: Array,
        truth: Array,
        tied: NDArray[np.bool_],
        reference: str,
        figures: dict[str, Figure],
    ) -> tuple[str, list[str], list[str]]:
        values = np.concatenate(self.values)
        span = max(float(np.ptp(values)), float(np.finfo(np.float32).tiny))
        known = np.clip(compared, 0, values.shape[-1] - 1)
        at = [np.take_along_axis(values, indices.astype(np.int64), axis=-1) for indices in (known, truth)]
        gap = np.abs(at[0].astype(np.float64) - at[1])
        differs = compared != truth
        wrong = differs & ((gap > NEAR * span) | (known != compared))
        equal = int(differs.size - differs.sum())
        figures |= {"indices": int(differs.size), "equal": equal, "wrong": int(wrong.sum())}

        def told(places: Array) -> list[str]:
            listed = [tuple(map(int, place)) for place in np.argwhere(places)]
            texts = [
                f"frame {place[0]}, place {list(place[1:])}: {compared[place]}, {reference} has {truth[place]};"
                f" their values differ by {gap[place]:.1e}"
                for place in listed[:_LISTED]
            ]
            return texts + ([f"and {len(listed) - _LISTED:,} more"] if len(listed) > _LISTED else [])

        tie = f", {int(differs.sum()):,} at a tie" if differs.any() else ""
        return f"{equal:,} of {differs.size:,} indices are {reference}'s{tie}", told(wrong), told(differs & ~wrong)

    def _wrong(self, reference: str) -> str:
        return f"indices are not {reference}'s"

    def _classes(self, vectors: Array) -> Array | None:
        return vectors[:, 0, 0] if vectors.shape[1] == 1 else None


def output_checks(module: ModuleOp, labels: Array | None) -> list[OutputCheck]:
    """A check for every output of an imported net."""
    net = net_of(module)
    if net is None:
        raise ValueError("the module has no tern.net")
    (returned,) = (op for op in net.body.block.ops if isinstance(op, tern.ReturnOp))
    made = [_made(port, value, labels) for port, value in zip(net.output_ports, returned.values, strict=True)]
    titles = Counter(check.title for check in made)
    for check in made:
        if titles[check.title] > 1:
            check.title = f"{check.title} '{check.name}'"
    return made


def _made(port: tern.PortAttr, value: SSAValue, labels: Array | None) -> OutputCheck:
    op = value.owner
    if isinstance(op, tern.TopKOp):
        return IndexCheck(port, value, "indices", labels, op)
    logarithms = isinstance(op, tern.ActivationOp) and op.kind.data == tern.Activation.LOG_SOFTMAX
    while isinstance(op, tern.ActivationOp):
        op = op.operand.owner
    if isinstance(op, tern.ScoresAtOp | tern.TakeOp) and isinstance(best := op.indices.owner, tern.TopKOp):
        return FloatCheck(port, value, "values", labels, best, whole=False)
    return FloatCheck(port, value, "scores", labels, below_zero=logarithms)


def ranked_tensors(checks: Sequence[OutputCheck]) -> list[str]:
    """ONNX tensors that are ranked: the reference must tell their values."""
    return list(dict.fromkeys(check.ranked for check in checks if check.ranked))
