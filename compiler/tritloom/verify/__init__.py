"""What proves a bundle: onnxruntime, interpreter and emulated device against each other (docs/verification.md)."""

from __future__ import annotations

from .bundle_check import verify_bundle
from .evaluation import Evaluation, evaluate
from .net import verify_net
from .report import Check, VerifyReport

__all__ = ["Check", "Evaluation", "VerifyReport", "evaluate", "verify_bundle", "verify_net"]
