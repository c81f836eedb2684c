"""From a checkpoint of the MatMul-free LM, as published, to the ONNX file of one decoding step; without torch."""

from .exporter import Exported, export_checkpoint

__all__ = ["Exported", "export_checkpoint"]
