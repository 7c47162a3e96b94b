"""Bases of the blocks that every model has; a block of the same name in each model's folder builds on them."""
