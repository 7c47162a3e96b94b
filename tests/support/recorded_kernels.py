"""Records calls of every kernel in some small runs: arguments and all that they point to, before and behind the call.

    python recorded_kernels.py calls.bin calls.h

replay.c repeats them on another machine. A recording is a row of int64_t; bytes are filled up to eight. A call is

    function, arguments, result; of each buffer its size, bytes and pointers before, and bytes and pointers behind

where an argument is (buffer or -1, offset or value) and a pointer is (its place in the buffer, buffer, offset).
"""

import sys
from bisect import bisect, insort
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tlm._kernels import ffi, lib

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
FUNCTIONS = [name for name in dir(lib) if callable(getattr(lib, name)) and name != "tlm_has_simd"]
MAX_CALLS, MAX_BYTES = 100, 1 << 18
"""Of one function one after the other, then one of 64; of one call."""


def declared_calls() -> str:
    """The part of the replay that knows the functions' types."""
    cases = []
    for number, name in enumerate(FUNCTIONS):
        kind = ffi.typeof(getattr(lib, name))
        how = "({})(intptr_t)a[{}]"
        call = f"{name}({', '.join(how.format(of.cname, place) for place, of in enumerate(kind.args))})"
        cases.append(f"case {number}: " + (f"{call}; return 0;" if kind.result.cname == "void" else f"return {call};"))
    names = ", ".join(f'"{name}"' for name in FUNCTIONS)
    return f"static const char *names[] = {{{names}}};\n#define CALLS {' '.join(cases)}\n"


def address_of(pointer: Any) -> int:
    return int(ffi.cast("intptr_t", pointer))


class RecordedFfi:
    """Remembers where the buffers are that C gets, and keeps them there."""

    def __init__(self) -> None:
        self._buffers: dict[int, tuple[int, bool, Any]] = {}
        self._starts: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(ffi, name)

    def new(self, *arguments: Any) -> Any:
        return self._known(ffi.new(*arguments))

    def from_buffer(self, *arguments: Any, **keys: Any) -> Any:
        return self._known(ffi.from_buffer(*arguments, **keys))

    def _known(self, buffer: Any) -> Any:
        kind = ffi.typeof(buffer)
        size = ffi.sizeof(kind.item) if kind.kind == "pointer" else ffi.sizeof(buffer)
        start = address_of(buffer)
        if start not in self._buffers:
            insort(self._starts, start)
        elif self._buffers[start][0] >= size:  # a part of what is kept, which no other can have replaced
            return buffer
        self._buffers[start] = size, kind.item.kind == "struct", buffer
        return buffer

    def find(self, address: int) -> tuple[int, int, bool] | None:
        """(address, size, whether it holds structs) of the newest buffer around an address."""
        place = bisect(self._starts, address) - 1
        if place < 0:
            return None
        size, structs, _ = self._buffers[start := self._starts[place]]
        return (start, size, structs) if address < start + size else None


def packed(*values: int) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


def filled(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


class Call:
    """A call while it is recorded."""

    def __init__(self, known: RecordedFfi) -> None:
        self._known = known
        self.buffers: list[tuple[int, int, bool]] = []

    def locate(self, address: int) -> tuple[int, int] | None:
        """(Buffer of this call, offset); a buffer that is met first brings those that its structs point to."""
        found = self._known.find(address) if address > 1 << 16 else None
        if found is None:
            return None
        if found not in self.buffers:
            self.buffers.append(found)
            self.pointers(found)
        return self.buffers.index(found), address - found[0]

    def pointers(self, buffer: tuple[int, int, bool]) -> list[int]:
        _, size, structs = buffer
        words = memoryview(self.data(buffer)[: size // 8 * 8]).cast("q") if structs else []
        found = [(8 * place, self.locate(word)) for place, word in enumerate(words)]
        return [value for place, at in found if at for value in (place, *at)]

    def data(self, buffer: tuple[int, int, bool]) -> bytes:
        return bytes(ffi.buffer(ffi.cast("char *", buffer[0]), buffer[1]))

    def snapshot(self) -> list[bytes]:
        found = [(self.data(buffer), self.pointers(buffer)) for buffer in self.buffers]
        return [filled(data) + packed(len(pointers) // 3, *pointers) for data, pointers in found]


class RecordedLib:
    """The kernels, recorded."""

    def __init__(self, known: RecordedFfi, path: Path) -> None:
        self._known, self._file = known, path.open("wb")
        self._calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return self._recorded(name) if name in FUNCTIONS else getattr(lib, name)

    def _recorded(self, name: str) -> Any:
        function = getattr(lib, name)

        def call(*arguments: Any) -> Any:
            self._calls[name] += 1
            if self._calls[name] > MAX_CALLS and self._calls[name] % 64:
                return function(*arguments)
            made, words = Call(self._known), []
            for argument in arguments:
                if isinstance(argument, int):
                    words += (-1, argument)
                    continue
                address = address_of(self._known.from_buffer(argument) if isinstance(argument, bytes) else argument)
                at = made.locate(address)
                assert at or not address, f"{name}: a pointer to an unknown buffer"
                words += at or (-1, 0)
            before = made.snapshot()
            result = function(*arguments)
            if sum(size for _, size, _ in made.buffers) <= MAX_BYTES:
                self._file.write(packed(FUNCTIONS.index(name), len(arguments), *words, int(result or 0)))
                self._file.write(packed(len(made.buffers)))
                for (_, size, _), *texts in zip(made.buffers, before, made.snapshot(), strict=True):
                    self._file.write(packed(size) + b"".join(texts))
                self._file.flush()
            return result

        return call


def run_networks() -> None:
    """Every kind of layer, in both models, on chips of every size."""
    import tlm

    rng = np.random.default_rng(0)

    def conv(name: str, out_channels: int, channels: int, kernel: int, **keys: Any) -> tlm.Conv2d:
        weights = rng.integers(-8, 8, (out_channels, channels, kernel, kernel))
        weights[:, rng.random(channels) < 0.4, kernel // 2] = 0
        return tlm.Conv2d(name, weights, multiplier=3, shift=9, **keys)

    for size, banks, fidelity, memory in (
        (8, 1, "cycle", "dram"),
        (32, 4, "pass", "fixed"),
        (16, 8, "cycle", "fixed"),
        (64, 2, "pass", "dram"),
        (32, 4, "cycle", "fixed"),
    ):
        layers = [
            conv("a", 20, 5, 3, padding=1, signed_output=size > 16, bias=rng.integers(-99, 99, 20)),
            conv("b", 20, 20, 1, residual="a", residual_multiplier=2),
            tlm.MaxPool2d("c", 3, stride=2),
            conv("d", 40, 20, 3, stride=2, dilation=2, padding=2),
            conv("e", 9, 40, 1, accumulator_output=True),
        ]
        chip = tlm.ChipConfig(
            lanes=size, columns=size, amem_banks=banks, wmem_banks=banks, amem_words=256, wmem_words=2048,
            memory_model=memory,
        )  # fmt: skip
        activations = rng.integers(0, 16, (5, 18, 15), dtype=np.int8)
        network = tlm.Network(activations.shape, layers)
        tlm.simulate(network, activations, chip=chip, fidelity=fidelity, observers=[lambda _: None])  # pass by pass
        tlm.evaluate(network, [activations], chip=chip)


def run_timing() -> None:
    """What a run only needs where a layer takes unusually long."""
    from tlm.chip.kernels.geometry import Geometry
    from tlm.chip.kernels.timing import predict

    rng = np.random.default_rng(0)
    geometry = Geometry(lanes=8, columns=8, channels=40, height=9, width=7, out_channels=20, out_height=9, out_width=7)
    patterns = rng.integers(0, 1 << 40, (geometry.groups, geometry.patterns_per_group), np.uint64)
    for banks in (1, 4):
        predict(
            geometry, amem_banks=banks, pipeline_cycles=5, pass_gap_cycles=2, requantiser_cycles=3, patterns=patterns,
            output_base_word=400, residual_base_word=900,
        )  # fmt: skip


if __name__ == "__main__":
    recorder = RecordedFfi()
    kernels = SimpleNamespace(ffi=recorder, lib=RecordedLib(recorder, Path(sys.argv[1])))
    sys.modules["tlm._kernels"] = kernels  # type: ignore[assignment]
    run_timing()
    run_networks()
    headers = "".join(f'#include "{path.name}"\n' for path in sorted(KERNELS.glob("*.h")))
    Path(sys.argv[2]).write_text(headers + declared_calls(), encoding="utf-8")
