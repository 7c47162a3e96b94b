"""The results that pictures are drawn from: read, checked, named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlm.chip.config import compared
from tlm.chip.operating_point import PUBLISHED_POINTS_MHZ, max_frequency_mhz
from tlm.core.errors import InputError
from tlm.plots.labels import cut
from tlm.results.result_json import RunRecord, flat, load_result, result_path

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
        return (
            f"{cut(stored.name)}: {stored.cycles:,} cycles = {stored.time_us:,.2f} µs [S] at {operating_point(stored)}"
        )

    def edited(self, key: str) -> InputError:
        """The complaint about figures that contradict each other."""
        return InputError(f"{self.file}: {key}; the file was edited: run the scenario again")


def operating_point(stored: RunRecord) -> str:
    """Supply and clock with their labels: published pairs are [P]."""
    chip = stored.chip
    label = "[P]" if PUBLISHED_POINTS_MHZ.get(chip.voltage_v) == chip.frequency_mhz else "[A]"
    return f"{chip.voltage_v:g} V, {chip.frequency_mhz:g} MHz {label}"


def load_sources(paths: Sequence[Path]) -> list[Source]:
    """Read results, each a file or its directory.

    Raises:
        InputError: see :func:`tlm.results.result_json.load_result`; no layers; results that cannot be compared, for
            their networks do not take and give tensors of the same shapes.
    """
    sources = [Source(result_path(path), load_result(path)) for path in paths]
    jobs = []
    for source in sources:
        layers = source.stored.layers
        if not layers or not source.stored.cycles:
            raise InputError(f"{source.file}: layers: none; there is nothing to draw; run a scenario with a layer")
        ends = (layers[0].input_shape, layers[-1].output_shape)
        jobs.append(" to ".join("x".join(map(str, shape)) for shape in ends))
        if jobs[-1] != jobs[0]:
            raise InputError(
                f"{source.file}: its network takes {jobs[-1]}, that of {sources[0].file} {jobs[0]}; a comparison needs "
                "results of networks that take and give tensors of the same shapes; plot the others by themselves"
            )
    return sources


def names(sources: Sequence[Source]) -> list[str]:
    """A different name for each result: the scenario's; behind it what is not equal in all results of that name."""
    found: list[str] = []
    chips = compared([source.stored.chip for source in sources])
    settings = [_settings(source.stored, chip) for source, chip in zip(sources, chips, strict=True)]
    for source, own in zip(sources, settings, strict=True):
        name = cut(source.stored.name)
        alike = [other for one, other in zip(sources, settings, strict=True) if one.stored.name == source.stored.name]
        keys = {key: None for other in alike for key in other if any(one.get(key) != own.get(key) for one in alike)}
        text = "".join(f" {key.rpartition('.')[2]}={_value(own.get(key))}" for key in keys if "sha256" not in key)
        found.append(name + (text if len(text) <= _MAX_DIFFERENCES else ""))
    count = Counter(found)
    return [f"{name} ({index})" if count[name] > 1 else name for index, name in enumerate(found, 1)]


def _settings(stored: RunRecord, chip: dict[str, Any]) -> Mapping[str, Any]:
    """What may differ, by its key; a number of taps that is a default is told."""
    if stored.chip.frequency_mhz == max_frequency_mhz(stored.chip.voltage_v):
        del chip["frequency_mhz"]  # it follows from the supply
    found = flat({"chip": chip, **stored.settings})
    taps = _taps(stored.settings.get("network", {}))
    return found if taps is None else {**found, "network.taps": taps}


def _value(value: object) -> object:
    return "-" if value is None else value


def tap_levels(sources: Sequence[Source]) -> list[int] | None:
    """Valid taps of each depth-wise kernel by result, if that is what the results differ in, and nothing else."""
    levels, others = [], []
    for stored in (source.stored for source in sources):
        network = stored.settings.get("network", {})
        levels.append(_taps(network))
        others.append((stored.chip, {**stored.settings, "network": {**network, "taps": None}}))
    found = [level for level in levels if level is not None]
    same = all(one == others[0] for one in others)
    return found if same and len(set(found)) == len(sources) > 1 else None


def _taps(network: Mapping[str, Any]) -> int | None:
    """The one number of taps, the default included; None where there is none."""
    from tlm.networks.resnet18 import Resnet18

    taps = network.get("taps")
    if (network.get("kind"), network.get("variant"), taps) == ("resnet18", "pw_dw_pw", None):
        taps = Resnet18().taps if network.get("patterns") is None else None
    return taps if isinstance(taps, int) else None
