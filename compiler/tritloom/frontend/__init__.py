"""ONNX to IR. One function, `import_onnx`; docs/import.md says what it recognises."""

from .importer import Imported, Stage, import_model, import_onnx

__all__ = ["Imported", "Stage", "import_model", "import_onnx"]
