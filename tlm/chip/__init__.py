"""The chip: one file per hardware block, ``config`` for its parameters, ``chip`` for the wiring."""
