"""Torch modules become ONNX graphs, in the precision that was asked for."""
