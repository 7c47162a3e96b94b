"""Networks from elsewhere and for elsewhere: quantised ONNX graphs. Needs the extra ``onnx``.

Files: ``onnx_constants`` (what does not depend on the input), ``onnx_values`` (what a tensor is), ``onnx_graph`` (nodes
become layers), ``onnx_reader`` (from a file), ``onnx_writer`` (to a file), ``onnx_check`` (onnxruntime beside the
engine).
"""
