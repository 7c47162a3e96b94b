"""From a network to a program: weight words, parts, placement in the memories, driver steps, off-chip image."""
