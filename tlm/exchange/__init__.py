"""Networks from elsewhere and for elsewhere: quantised ONNX graphs. Needs the extra ``onnx``.

``onnx_reader`` reads a file, ``onnx_writer`` writes one, ``onnx_check`` sets onnxruntime beside the engine; the other
files are listed in docs/architecture.md.
"""
