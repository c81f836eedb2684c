"""Compose the bundle of a feed-forward net: a kernel of its own, whose weights are part of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from .. import __version__
from ..analysis.net_estimate import NetEstimate, estimate_net
from ..ir import flow, tern
from ..ir.mlir import ModuleOp, SSAValue, TensorType, f32
from ..ir.numerics import NUMERICS_VERSION
from ..ir.store import WeightStore
from ..runtime.kernel_manifest import NET_VLNV, net_arguments
from ..runtime.net_manifest import NetPort
from ..targets import BOARD_FILE, Target, board_toml
from .connect import plain_kernel
from .flow_design import FlowDesign
from .flow_hls import TOP, render_flow
from .flow_stages import flow_design, input_bytes, output_bytes
from .hls import HlsTarget
from .manifest import hashed, manifest, sources_digest
from .net_outputs import output_fields, port_fields, stored_fields
from .plan import BuildPlan, is_hashed
from .vivado import render_overlay


def net_estimate(module: ModuleOp, store: WeightStore, net: tern.NetOp, target: Target) -> NetEstimate:
    """Cycles, resources and memory of a net of a module whose FIFOs have their depths."""
    stages = [op for op in net.body.block.ops if isinstance(op, flow.Stage)]
    return estimate_net(stages, target, (input_bytes(net), output_bytes(net)), partial(store.matrix, module))


def _kernel(design: FlowDesign, sources: Mapping[str, str], target: Target) -> dict[str, Any]:
    """What a bitstream is: the weights are in the sources, and those in its hash."""
    return hashed(
        {
            "vlnv": NET_VLNV,
            "board": target.name,
            "part": target.part,
            "family": target.family,
            "clock_mhz": target.clock_mhz,
            "numerics": NUMERICS_VERSION,
            "sources": sources_digest(sources),
            "max_frames": design.max_frames,
            "beat_bits": design.beat_bits,
            "args": [{"name": arg.name, "kind": arg.kind, "bits": arg.bits} for arg in net_arguments()],
        }
    )


def input_port(net: tern.NetOp) -> NetPort:
    """The input as the runtime knows it."""
    port = net.input_ports[0]
    return NetPort(port.tensor.data, _dtype(net.body.block.args[0]), tuple(port.dimensions), tuple(port.order))


def _dtype(value: SSAValue) -> str:
    element = value.type.element_type if isinstance(value.type, TensorType) else None
    if element == f32:
        return "float32"
    return "int8" if tern.is_signed(tern.element_of(value)) else "uint8"


def _program(
    module: ModuleOp, store: WeightStore, net: tern.NetOp, kernel: str, found: NetEstimate, extra: dict[str, Any]
) -> dict[str, Any]:
    """What the host must know: layouts, buffers, and how what the kernel writes becomes the outputs."""
    weights = [op for op in module.ops if isinstance(op, tern.WeightOp)]
    return hashed(
        {
            "kernel": kernel,
            "kind": "net",
            "ternary_weights": sum(op.rows.value.data * op.cols.value.data for op in weights),
            "input": port_fields(net.input_ports[0], _dtype(net.body.block.args[0])),
            "outputs": output_fields(module, store, net),
            **stored_fields(net),
            "input_bytes": input_bytes(net),
            "output_bytes": output_bytes(net),
            "contiguous_bytes": found.contiguous_bytes,
            "estimate": {
                "cycles_per_frame": found.cycles_per_frame,
                "frames_per_second": round(found.frames_per_second, 3),
                "label": found.label,
            },
            **extra,
        }
    )


def compose_net_bundle(
    module: ModuleOp,
    store: WeightStore,
    net: tern.NetOp,
    target: Target,
    model: Path,
    found: NetEstimate,
    documents: Mapping[str, str | bytes],
    dumps: Mapping[str, str],
) -> BuildPlan:
    """Every file of a bundle.

    Args:
        module: the module whose net is folded, its FIFOs sized.
        store: its constants.
        net: the net of the module.
        target: the board.
        model: the ONNX file.
        found: the estimate that the manifest quotes.
        documents: further files by path: README, report, samples.
        dumps: IR text after each pass, by file name.
    """
    plan = BuildPlan()
    design = flow_design(module, store, net)
    sources = render_flow(design, HlsTarget.of(target))
    kernel = _kernel(design, sources, target)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    extra: dict[str, Any] = {"name": model.stem, "source": {"sha256": digest}}
    extra["beat_bytes"] = design.beat_bits // 8
    extra["stages"] = [stage.name for stage in design.stages]
    program = _program(module, store, net, kernel["hash"], found, extra)
    plan.add_all("hls", sources)
    overlay = render_overlay(
        plain_kernel(TOP, NET_VLNV, [("m_axi_memory", design.beat_bits)], target), target, __version__
    )
    for path, text in {**overlay, **documents}.items():
        plan.add(path, text)
    plan.add(BOARD_FILE, board_toml(target))
    hashed = {path: value for path, value in plan.digests().items() if is_hashed(path)}
    plan.add_all("ir", dumps)
    origin = {"file": str(model.resolve()), "sha256": digest}
    plan.add("manifest.json", manifest(kernel, program, origin, hashed))
    return plan
