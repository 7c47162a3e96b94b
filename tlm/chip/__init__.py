"""The chip: one file per hardware block, ``config`` for its parameters, ``system`` for the wiring."""
