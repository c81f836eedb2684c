"""Kernels for the tests of the build scripts."""

from __future__ import annotations

from collections.abc import Callable

import vivado_model as model
from tritloom.analysis import ModelNeeds, default_limits
from tritloom.backend.connect import Kernel
from tritloom.ir.kernel import KernelLimits
from tritloom.targets import Target

NEEDS = ModelNeeds(longest_k=1024, vector_words=4000, state_words=2304, instructions=77)


def limits_for(target: Target, ports: int | None = None) -> KernelLimits:
    """The board's default kernel for a model of the 370M kind, or one with another number of ports."""
    limits = default_limits(target, NEEDS).as_dict()
    del limits["slices"]
    return KernelLimits(**{**limits, "ports": ports or limits["ports"]})


def described(kernel: Kernel) -> model.Kernel:
    """A kernel as the IP repository would hold it."""
    return model.Kernel(kernel.vlnv, tuple((master.interface, "axi", "master") for master in kernel.masters))


Build = Callable[..., model.Ran]
