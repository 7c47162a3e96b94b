"""Fidelity "pass": the engine and the DMA with a pass, a transfer as one transaction and nothing per cycle in Python.

The blocks have the names and sockets of fidelity "cycle"'s and work on the same memories and instructions. When things
happen is worked out in C: a layer's passes from its decoded words, the DMA's accesses against the bank calendars that
the engine reserves at the SRAMs. What decides a cycle is written here a second time on purpose, even where it looks
alike: two derivations that must agree are worth more than one (docs/timing.md, Two models of one page).
"""
