"""The transaction layer: payloads, sockets, modules, observation; also the errors and files that all layers share.

It plays the part of SystemC's TLM-2.0 on top of SimPy and knows nothing of the chip.
Import the modules you need (``tlm.core.sockets``); this package imports nothing by itself.
"""
