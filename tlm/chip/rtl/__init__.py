"""The engine as a circuit, in Amaranth: one file per block, named like the blocks of ``tlm/chip/cycle``.

Header, registers and address generator are files only here; there they are parts of other blocks.
``engine`` wires the blocks. ``build`` compiles the circuit to a shared library, and ``coupling`` puts that library
behind the engine's contract as fidelity "rtl". Everything here needs the optional dependencies ``rtl``.
"""
