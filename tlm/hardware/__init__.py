"""The engine's circuit as a design of its own.

``verilog`` writes it as Verilog, ``recording`` hears what happens on its ports in a run, and ``testbench`` makes a
self-checking testbench of that from ``engine_tb.v``.
"""
