"""`engine.kernel`: the limits and the board of the kernel that the program is for."""

from __future__ import annotations

from ..kernel import KernelLimits
from ..mlir import (
    DictionaryAttr,
    IntegerAttr,
    IRDLOperation,
    ModuleOp,
    ParsePropInAttrDict,
    StringAttr,
    VerifyException,
    i64,
    irdl_op_definition,
    prop_def,
)


@irdl_op_definition
class KernelOp(IRDLOperation):
    """Board and compile-time limits of the kernel; one a module."""

    name = "engine.kernel"
    board = prop_def(StringAttr)
    limits = prop_def(DictionaryAttr)

    irdl_options = (ParsePropInAttrDict(),)
    assembly_format = "$board attr-dict"

    def __init__(self, board: str, limits: KernelLimits) -> None:
        values = {key: value for key, value in limits.as_dict().items() if key != "slices"}
        super().__init__(
            properties={
                "board": StringAttr(board),
                "limits": DictionaryAttr({key: IntegerAttr(value, i64) for key, value in values.items()}),
            }
        )

    def kernel_limits(self) -> KernelLimits:
        """The limits as a dataclass.

        Raises:
            VerifyException: a missing, unknown or invalid limit.
        """
        values = {key: value.value.data for key, value in self.limits.data.items() if isinstance(value, IntegerAttr)}
        try:
            return KernelLimits(**values)
        except (TypeError, ValueError) as error:
            raise VerifyException(f"engine.kernel: {error}") from error

    def verify_(self) -> None:
        self.kernel_limits()


def kernel_of(module: ModuleOp) -> KernelOp | None:
    """The module's kernel, if `tile` has chosen one."""
    return next((op for op in module.ops if isinstance(op, KernelOp)), None)
