"""The results that pictures are drawn from: read, checked, named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.core.errors import InputError
from tlm.results.result_json import RunRecord, load_result, result_path

_MAX_DIFFERENCES = 40
"""Letters behind a name."""


@dataclass(frozen=True, eq=False)
class Source:
    """A result and the file that it came from, which errors name."""

    file: Path
    stored: RunRecord

    @property
    def title(self) -> str:
        """What ran on which chip, for the head of a figure."""
        stored = self.stored
        return f"{stored.name}: {stored.cycles:,} cycles = {stored.time_us:,.2f} µs [S] at {operating_point(stored)}"

    def edited(self, key: str) -> InputError:
        """The complaint about figures that contradict each other."""
        return InputError(f"{self.file}: {key}; the file was edited: run the scenario again")


def operating_point(stored: RunRecord) -> str:
    """Supply and clock with their labels: published pairs are [P]."""
    from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ

    chip = stored.chip
    label = "[P]" if PUBLISHED_POINTS_MHZ.get(chip.voltage_v) == chip.frequency_mhz else "[A]"
    return f"{chip.voltage_v:g} V, {chip.frequency_mhz:g} MHz {label}"


def load_sources(paths: Sequence[Path]) -> list[Source]:
    """Read results, each a file or its directory.

    Raises:
        InputError: see :func:`tlm.results.result_json.load_result`; no layers; results that cannot be compared.
    """
    sources = [Source(result_path(path), load_result(path)) for path in paths]
    for source in sources:
        if not source.stored.layers or not source.stored.cycles:
            raise InputError(f"{source.file}: layers: none; there is nothing to draw; run a scenario with a layer")
    for other in sources[1:]:
        _check_comparable(sources[0], other)
    return sources


def names(sources: Sequence[Source]) -> list[str]:
    """A different name for each result: the scenario's; behind it what differs from the first one of that name."""
    found = [source.stored.name for source in sources]
    flats = [_flat({"chip": _chip_keys(source.stored), **source.stored.settings}) for source in sources]
    firsts = [flats[found.index(name)] for name in found]
    found = [_with_differences(*described) for described in zip(found, flats, firsts, strict=True)]
    again = {name for name, count in Counter(found).items() if count > 1}
    return [f"{name} ({index + 1})" if name in again else name for index, name in enumerate(found)]


def tap_levels(sources: Sequence[Source]) -> list[int] | None:
    """Valid taps of each depth-wise kernel by result, if that is what the results differ in, and nothing else."""
    levels = [_taps(source.stored.settings) for source in sources]
    found = [level for level in levels if level is not None]
    rest = [(source.stored.chip, _without_taps(source.stored.settings)) for source in sources]
    same = all(one == rest[0] for one in rest)
    return found if same and len(set(found)) == len(sources) > 1 else None


def kernel_taps(source: Source) -> int:
    """How many taps the depth-wise kernels have unpruned."""
    return int(source.stored.settings.get("network", {}).get("kernel", 3)) ** 2


def _chip_keys(stored: RunRecord) -> dict[str, Any]:
    """The chip, without a clock that follows from its supply."""
    from tlm.chip.operating_point import max_frequency_mhz

    keys, limit_mhz = stored.chip_keys(), max_frequency_mhz(stored.chip.voltage_v)
    return {key: value for key, value in keys.items() if key != "frequency_mhz" or value != limit_mhz}


def _check_comparable(first: Source, other: Source) -> None:
    """Results can be compared if the networks do the same job, layer by layer different as they may be."""
    jobs = [(source.stored.layers[0].input_shape, source.stored.layers[-1].output_shape) for source in (first, other)]
    if jobs[0] != jobs[1]:
        told = [" to ".join("x".join(map(str, shape)) or "?" for shape in job) for job in jobs]
        raise InputError(
            f"{other.file}: its network takes {told[1]}, that of {first.file} {told[0]}; a comparison needs results of "
            "networks that take and give tensors of the same shapes; plot the others by themselves"
        )


def _taps(settings: Mapping[str, Any]) -> int | None:
    """The one number of taps, the default included; None where there is none."""
    network = settings.get("network", {})
    taps = network.get("taps")
    if network.get("kind") == "resnet18" and network.get("variant") == "pw_dw_pw" and taps is None:
        from tlm.networks.resnet18 import Resnet18

        taps = Resnet18().taps if network.get("patterns") is None else None
    return taps if isinstance(taps, int) else None


def _without_taps(settings: Mapping[str, Any]) -> dict[str, Any]:
    network = {key: value for key, value in settings.get("network", {}).items() if key != "taps"}
    return {**settings, "network": network}


def _with_differences(name: str, own: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """The name and what differs; only the name if that would be long."""
    keys = [key for key in {**first, **own} if "sha256" not in key and own.get(key) != first.get(key)]
    text = " ".join([name, *(f"{key.rpartition('.')[2]}={_short(own.get(key))}" for key in keys)])
    return text if len(text) <= len(name) + _MAX_DIFFERENCES else name


def _short(value: Any) -> str:
    return "-" if value is None else str(value)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Key path -> value, for nested tables and lists."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {key: item for k, v in value.items() for key, item in _flat(v, f"{path}.{k}" if path else k).items()}
    return {path: value}
