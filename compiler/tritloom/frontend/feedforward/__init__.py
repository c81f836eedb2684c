"""Feed-forward nets: from the ONNX graph of an MLP or a CNN to the integer layers of the `tern` dialect."""

from .annotations import Codes
from .net import import_net

__all__ = ["Codes", "import_net"]
