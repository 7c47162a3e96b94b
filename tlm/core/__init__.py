"""The transaction layer: payloads, sockets, modules, observation.

It plays the part of SystemC's TLM-2.0 on top of SimPy and knows nothing of the chip.
Import the modules you need (``tlm.core.sockets``); this package imports nothing by itself.
"""
