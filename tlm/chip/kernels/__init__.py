"""The C kernels behind a typed, checked edge: one file for each file of ``kernels/`` that Python calls.

Everything that a kernel reads or writes is a buffer whose size is checked here, so that no call can leave it.
Shapes: an activation vector is int8 [lanes]; accumulators are int32 [columns][lanes], 24-bit two's complement;
an AMem word is lanes / 2 bytes, a WMem word columns / 2 bytes (lane or column 0 in the low nibble of byte 0,
engine.md "Layout" [A]). Functions that are called once a simulated cycle take and return cffi buffers, opaque to
the caller. The C functions release the GIL while they run.
"""

from tlm.chip.kernels.buffers import Buffer as Buffer
from tlm.chip.kernels.buffers import KernelError as KernelError
from tlm.chip.kernels.buffers import Memory as Memory
from tlm.chip.kernels.buffers import accumulators_array as accumulators_array
from tlm.chip.kernels.buffers import new_accumulators as new_accumulators
from tlm.chip.kernels.buffers import new_activations as new_activations
from tlm.chip.kernels.geometry import Select as Select
from tlm.chip.kernels.geometry import select_lanes as select_lanes
from tlm.chip.kernels.geometry import tap_words as tap_words
from tlm.chip.kernels.mac import MacPass as MacPass
from tlm.chip.kernels.mac import Simd as Simd
from tlm.chip.kernels.mac import host_simds as host_simds
from tlm.chip.kernels.mac import mac_layer as mac_layer
from tlm.chip.kernels.mac import mac_step as mac_step
from tlm.chip.kernels.mac import mask as mask
from tlm.chip.kernels.pool import PoolPass as PoolPass
from tlm.chip.kernels.pool import pool_layer as pool_layer
from tlm.chip.kernels.pool import pool_step as pool_step
from tlm.chip.kernels.requantise import RequantiseKernel as RequantiseKernel
from tlm.chip.kernels.requantise import accumulator_layer as accumulator_layer
from tlm.chip.kernels.requantise import accumulator_plane as accumulator_plane
from tlm.chip.kernels.requantise import requantise_word as requantise_word
