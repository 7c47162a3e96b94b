"""The engine's circuit as a design of its own: Verilog (``verilog``), and a testbench from a run (``testbench``)."""
