"""The untimed chip, for when only values are needed: it runs a driver program on plain bytes.

It has no cycles, sockets or observers. Values do not depend on time: the compiler's waits keep every transfer away from
words that are still in use. So a transfer may complete as soon as it starts, and so may a job of the engine.
"""
