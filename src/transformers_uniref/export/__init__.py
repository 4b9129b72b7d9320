"""The image path as one graph: ONNX files for onnxruntime and others, and `torch.export` programs.

`export_onnx` and `export_program` write a folder with one graph for each kind of reference, a description
(`export.json`) and what prepares pictures and sentences.
"""

from .folder import ExportedFolder, export_onnx, export_program
from .paths import PATHS
from .verification import TOLERANCE, ExportDiffersError

__all__ = ["PATHS", "TOLERANCE", "ExportDiffersError", "ExportedFolder", "export_onnx", "export_program"]
