"""Fidelity "cycle": every access, step, drained word and bus beat is a transaction. One file per block."""
