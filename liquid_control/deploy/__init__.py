"""A trained policy as a file that drives without torch: ONNX for robots, C for microcontrollers.

- `command` is `liquid-control export`; `onnx_export` writes the ONNX folder, `c_export` the C code;
- `runtime` drives from an exported folder with ONNX Runtime or OpenVINO, as `policy.Driver` does
  with torch.
"""
