"""Networks from elsewhere and for elsewhere: ONNX graphs. Needs the extra ``onnx``.

Files: ``onnx_reader`` (a file becomes a network), ``onnx_file`` (checks of the file), ``onnx_prepare`` and
``onnx_qdq_form`` (other forms of a graph become the one that is read), ``onnx_operators`` and ``onnx_moves`` (a handler
for each operator), ``onnx_nodes`` (what handlers work with), ``onnx_quantisers``, ``onnx_constants``, ``onnx_windows``
(scales, constants, strides and pads), ``onnx_values`` (what a tensor is while the graph is read), ``onnx_layers`` (how
sums become layers of the engine), ``onnx_check`` (onnxruntime beside the engine), ``onnx_runtime`` (its
sessions), ``onnx_writer``.

Post-training quantization: ``ptq`` (a float graph becomes a quantised one), ``ptq_graph`` (where), ``ptq_ranges`` (by
which steps), ``ptq_report`` (what it costs), ``calibration`` (pictures and arrays).
"""
