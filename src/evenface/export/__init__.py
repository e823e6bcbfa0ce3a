"""From a run to what a device runs: ONNX, quantised and checked, with its card."""
