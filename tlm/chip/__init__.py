"""The chip: a folder for each model (cycle, passes, rtl, untimed), what is around them, and the contract they keep.

``base`` has the base classes of blocks, ``system`` is the wiring, ``config`` the parameters.
"""
