"""The chip: a folder for each model (cycle, passes, untimed), what surrounds them, and the contracts that they keep.

``engine``, ``dma``, ``unit`` and ``sram`` are base classes, ``system`` is the wiring, ``config`` the parameters.
"""
