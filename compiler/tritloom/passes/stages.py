"""How far a module has come: what a pass needs, and the refusal of an order that cannot work."""

from __future__ import annotations

from ..errors import InputError
from ..ir import engine, flow, tern
from ..ir.kernel import KernelLimits
from ..ir.mlir import ModuleOp
from .rewriting import model_of

_PLACES = ("address", "slot", "state_address")


def need_tern(module: ModuleOp, pass_name: str) -> None:
    """The model is still in the `tern` dialect.

    Raises:
        InputError: choose-mapping has run.
    """
    model_of(module)
    if engine.instruction_count(module):
        raise InputError(
            f"pass '{pass_name}' works on the tern dialect, but the model is already mapped to the engine",
            f"Run '{pass_name}' before 'choose-mapping'.",
        )


def need_instructions(module: ModuleOp, pass_name: str) -> None:
    """The model is mapped to the engine.

    Raises:
        InputError: it has no instructions.
    """
    model_of(module)
    if not engine.instruction_count(module):
        raise InputError(f"pass '{pass_name}' needs the instructions of the engine", "Run 'choose-mapping' first.")


def need_kernel(module: ModuleOp, pass_name: str) -> KernelLimits:
    """Limits of the kernel that the module is for.

    Raises:
        InputError: none has been chosen.
    """
    kernel = engine.kernel_of(module)
    if kernel is None:
        raise InputError(f"pass '{pass_name}' needs a kernel, and the module has no engine.kernel", "Run 'tile' first.")
    return kernel.kernel_limits()


def need_no_places(module: ModuleOp, pass_name: str) -> None:
    """No buffer has its place yet, so that the order of the instructions may still change.

    Raises:
        InputError: plan-memory has run.
    """
    if any(name in op.properties for op in engine.instruction_ops(module) for name in _PLACES):
        raise InputError(
            f"pass '{pass_name}' would invalidate the addresses that 'plan-memory' has given",
            f"Run '{pass_name}' before 'plan-memory'.",
        )


def need_program(module: ModuleOp, pass_name: str) -> list[engine.ProgramEntry]:
    """The instructions, every buffer in its place.

    Raises:
        InputError: plan-memory has not run.
    """
    need_instructions(module, pass_name)
    try:
        return engine.assemble(module)
    except engine.Unscheduled as error:
        raise InputError(f"pass '{pass_name}': {error}", "Run 'plan-memory' first.") from error


def need_net(module: ModuleOp, pass_name: str) -> tern.NetOp:
    """The feed-forward net of a module.

    Raises:
        InputError: the module is a decoding step.
    """
    net = next((op for op in module.ops if isinstance(op, tern.NetOp)), None)
    if net is None:
        raise InputError(f"pass '{pass_name}' works on a feed-forward net", "Give the IR of a net (tern.net).")
    return net


def need_layers(module: ModuleOp, pass_name: str) -> tern.NetOp:
    """A net still in the `tern` dialect.

    Raises:
        InputError: it is mapped to stages already.
    """
    net = need_net(module, pass_name)
    if flow_stages(net):
        raise InputError(
            f"pass '{pass_name}' works on the tern dialect, but the net is already mapped to stages",
            f"Run '{pass_name}' before 'to-dataflow'.",
        )
    return net


def need_stages(module: ModuleOp, pass_name: str) -> tern.NetOp:
    """A net that is mapped to stages.

    Raises:
        InputError: it is not.
    """
    net = need_net(module, pass_name)
    if not flow_stages(net):
        raise InputError(f"pass '{pass_name}' needs the stages of the net", "Run 'to-dataflow' first.")
    return net


def flow_stages(net: tern.NetOp) -> list[flow.Stage]:
    """The stages of a net, in order."""
    return [op for op in net.body.block.ops if isinstance(op, flow.Stage)]
