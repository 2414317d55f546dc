"""The shipped model and its runtime: ONNX graphs, a manifest, hashes; no torch, no pickle."""
