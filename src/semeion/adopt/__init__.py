"""Networks that were trained elsewhere: an ONNX file is read as hostile input and becomes a graph like any other."""
