"""What the chip computes, without time: a driver program on plain bytes, as fast as the C kernels go.

No part of it knows a cycle, a socket or an observer. Values do not depend on time: the compiler's waits keep every
transfer away from words that something under way still uses, so a transfer may happen when it is started, and a job of
the engine may end when it is started.
"""
