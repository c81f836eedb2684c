"""The report's tables: as data for report.json, as rich tables for the terminal. At most 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..analysis import Estimate, InstructionCost, ResourceUse
from .data import PassRow

if TYPE_CHECKING:
    from rich.table import Table

MIB = 1 << 20
Align = Literal["left", "right"]
RESOURCE_NAMES = {"lut": "LUT", "ff": "FF", "bram36": "BRAM36", "uram": "URAM", "dsp": "DSP"}


@dataclass(frozen=True)
class TableData:
    """A table of text."""

    title: str
    columns: tuple[tuple[str, Align], ...]
    rows: tuple[tuple[str, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """For report.json."""
        return {
            "title": self.title,
            "columns": [{"name": name, "align": align} for name, align in self.columns],
            "rows": [list(row) for row in self.rows],
        }

    def rich(self) -> Table:
        """For the terminal."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=self.title,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        for name, align in self.columns:
            table.add_column(name, justify=align, no_wrap=True)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table


def size(count: float) -> str:
    """Bytes for people.

    >>> size(70_541_312), size(4096), size(12)
    ('70.5 MB', '4.1 kB', '12 B')
    """
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def rate(value: float) -> str:
    """Tokens per second: three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def number(value: float) -> str:
    """A count; BRAM comes in halves."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def ratio(value: float | None) -> str:
    """A tool's figure over ours."""
    return "" if value is None else f"{value:.2f}"


def comparison_table(implementation: Mapping[str, Any]) -> TableData:
    """Estimate, HLS and implemented side by side, from `implementation` of report.json."""

    def shown(value: float | None) -> str:
        return "" if value is None else number(value)

    rows = tuple(
        (
            RESOURCE_NAMES[row["resource"]],
            number(row["estimate"]),
            shown(row["hls"]),
            ratio(row["hls_ratio"]),
            shown(row["implemented"]),
            ratio(row["implemented_ratio"]),
            number(row["available"]),
        )
        for row in implementation["comparison"]
    )
    columns: tuple[tuple[str, Align], ...] = (
        ("resource", "left"), ("estimate", "right"), ("HLS, kernel", "right"), ("ratio", "right"),
        ("implemented", "right"), ("ratio", "right"), ("board", "right"),
    )  # fmt: skip
    return TableData(f"Resources ({implementation['label']})", columns, rows)


def summary(estimate: Estimate) -> TableData:
    """The figures that one asks for first."""
    limits, prompt, memory = estimate.limits, estimate.prompt, estimate.memory
    kernel = f"{limits['ports']} x {limits['port_bits']} bit, {limits['lanes']} lanes, batch {limits['batch']}"
    rows = (
        ("kernel", f"{kernel}, {estimate.clock_mhz:g} MHz"),
        ("tokens per second", rate(estimate.tokens_per_second)),
        ("cycles per token", f"{estimate.cycles_per_token:,.0f}"),
        (f"prompt tokens per second, {prompt.positions} a pass", rate(prompt.tokens_per_second)),
        ("bytes per token", size(estimate.bytes_per_token)),
        (
            "share of the memory's bandwidth",
            f"{estimate.bandwidth_share:.0%} of {estimate.delivered_gb_s:.2f} GB/s",
        ),
        ("array, ports", f"{estimate.array_gb_s:.1f}, {estimate.wire_gb_s:.1f} GB/s"),
        ("padding of the weights", f"{estimate.padding_share:.1%}"),
        (
            "contiguous memory",
            f"{memory.contiguous / MIB:.1f} MiB ({memory.cma / MIB:.0f} by default)",
        ),
    )
    return TableData(f"{estimate.board_title} ({estimate.label})", (("figure", "left"), ("value", "left")), rows)


def time_shares(estimate: Estimate) -> TableData:
    """What decides the time of a token."""
    total = estimate.token.cycles
    rows = tuple(
        (name, f"{cycles:,.0f}", f"{cycles / total:.1%}")
        for name, cycles in sorted(estimate.token.cycles_by_bound.items(), key=lambda item: -item[1])
    )
    columns: tuple[tuple[str, Align], ...] = (
        ("bound by", "left"),
        ("cycles", "right"),
        ("share", "right"),
    )
    return TableData(f"Cycles per token ({estimate.label})", columns, rows)


def resource_rows(uses: Sequence[ResourceUse], label: str = "estimated") -> TableData:
    """Use against the board."""
    rows = tuple(
        (
            RESOURCE_NAMES[use.resource],
            number(use.used),
            number(use.available),
            f"{use.share:.0%}" if use.available else "-",
        )
        for use in uses
    )
    columns: tuple[tuple[str, Align], ...] = (
        ("resource", "left"), ("used", "right"), ("available", "right"), ("share", "right")
    )  # fmt: skip
    return TableData(f"Resources ({label})", columns, rows)


def _family(row: InstructionCost) -> tuple[str, int, int]:
    return (row.name, row.rows, row.length)


def instructions(estimate: Estimate) -> TableData:
    """Cycles by kind of instruction: those of one function and shape are one line."""
    groups: dict[tuple[str, int, int], list[InstructionCost]] = {}
    for row in estimate.instructions:
        groups.setdefault(_family(row), []).append(row)
    rows = []
    for (name, outputs, length), members in groups.items():
        shape = f"{outputs}x{length}" if outputs else str(length)
        first = members[-1]
        cycles = sum(member.cycles for member in members)
        rows.append(
            (
                name,
                shape,
                str(len(members)),
                f"{first.stream_cycles:,.0f}",
                f"{first.padding_share:.1%}" if outputs else "",
                f"{first.vector_cycles:,}",
                f"{first.barrier_cycles:,}",
                first.bound,
                f"{cycles / estimate.token.cycles:.1%}",
            )
        )
    columns: tuple[tuple[str, Align], ...] = (
        ("instruction", "left"), ("shape", "right"), ("n", "right"), ("stream", "right"), ("pad", "right"),
        ("vector", "right"), ("barrier", "right"), ("bound", "left"), ("time", "right"),
    )  # fmt: skip
    return TableData(f"Cycles of one, share of all ({estimate.label})", columns, tuple(rows))


def pass_rows(passes: Sequence[PassRow]) -> TableData:
    """The pipeline."""
    rows = tuple((row[0], str(row[1]), str(row[2]), f"{row[3] * 1e3:.1f}") for row in passes)
    columns: tuple[tuple[str, Align], ...] = (
        ("pass", "left"), ("ops before", "right"), ("after", "right"), ("ms", "right")
    )  # fmt: skip
    return TableData("Passes (measured while compiling)", columns, rows)


def estimate_tables(estimate: Estimate) -> tuple[TableData, ...]:
    """All tables of an estimate, in the order of the report."""
    return (
        summary(estimate),
        time_shares(estimate),
        instructions(estimate),
        resource_rows(estimate.resources, estimate.label),
    )


def estimate_table(estimate: Estimate) -> Table:
    """The summary as a rich table."""
    return summary(estimate).rich()
