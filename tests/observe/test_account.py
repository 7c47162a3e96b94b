"""The account of every cycle: closed forms against the per-cycle script, sums, waits, banks, utilisation."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from chip_cases import NetworkCase, chips, networks, oracle_passes
from cycle_oracle import Pass
from energy_cases import SLOW_HOST
from examples import examples
from hypothesis import given
from msgspec.structs import replace

import tlm
from tlm.chip.config import ChipConfig
from tlm.core.errors import SimulationError
from tlm.observe.account import (
    ArrayAccount,
    ChannelAccount,
    RunAccount,
    SramAccount,
    WaitAccount,
    added,
    array_account,
    check_sums,
    wait_accounts,
)
from tlm.observe.passes import PartRecord, PassRecord
from tlm.observe.spans import Spans
from tlm.results.result import Result

CHIP = ChipConfig()


def one_pass(
    first: int, steps: int, fetch: int, empty: int, handover: int, last_write: int, group: int = 0
) -> PassRecord:
    return PassRecord(
        group=group,
        tile=0,
        first_cycle=first,
        last_fetch_cycle=first + fetch + empty - 1,
        handover_cycle=handover,
        last_write_cycle=last_write,
        steps=steps,
        fetch_cycles=fetch,
    )


# -- closed forms ---------------------------------------------------------------------------------------------------


def test_every_cause_of_two_passes() -> None:
    """Pass 0: s=100, 20 steps in 24 fetch cycles, 2 empty words, e=125, h=135; pass 1: a new group of 8 channels."""
    before = one_pass(100, 20, 24, 2, 135, 200)
    after = one_pass(135 + 1 + 9, 5, 5, 0, 201, 201 + 3 + 8 + 1, group=1)  # e=149, so h=159 but for the writes
    after.refused_writes = 1
    assert array_account(PartRecord(0, [before, after]), CHIP) == ArrayAccount(
        computing=25,
        bank_conflict=4,
        instruction=2,
        pipeline=10 + 3 + 10 + 3,
        parameters=6,
        write_back=201 - 159 + 1,
        drain=8,
    )


@pytest.mark.parametrize(
    "change",
    [{"handover_cycle": 134}, {"last_write_cycle": 136}, {"fetch_cycles": 19}, {"fetch_cycles": 27}],
    ids=lambda change: next(iter(change)),
)
def test_records_that_break_the_rules_of_a_pass_are_refused(change: dict[str, int]) -> None:
    record = replace(one_pass(100, 20, 24, 2, 135, 146), **change)
    with pytest.raises(SimulationError, match="account: the causes of part 3"):
        array_account(PartRecord(3, [record]), CHIP)


def causes_cycle_by_cycle(passes: list[Pass], chip: ChipConfig) -> Counter[str]:
    """engine.md's account, a cycle at a time, from the per-cycle script's passes."""
    found: Counter[str] = Counter()
    for index, now in enumerate(passes):
        following = passes[index + 1] if index + 1 < len(passes) else None
        inner = now.e - now.s + 1
        found["computing"] += now.counts["steps"]
        found["instruction"] += now.counts["empty_words"]
        found["bank_conflict"] += inner - now.counts["steps"] - now.counts["empty_words"]
        earliest = now.e + chip.pipeline_cycles + 1
        for cycle in range(now.e + 1, now.h + 1):
            found["pipeline" if cycle < earliest or cycle == now.h else "write_back"] += 1
        refused = now.counts["refused_writes"]
        for cycle in range(now.h + 1, following.s if following else now.last_write + 1):
            if following:
                found["pipeline" if cycle <= now.h + chip.pass_gap_cycles else "parameters"] += 1
            elif cycle <= now.h + chip.requantiser_cycles:
                found["pipeline"] += 1
            else:
                found["write_back" if refused > 0 else "drain"] += 1
                refused -= 1
    return +found


@examples(30)
@given(case=networks(), chip=chips())
def test_generated_networks(case: NetworkCase, chip: ChipConfig) -> None:
    program = tlm.compile(case.network, chip)
    result = tlm.simulate(program, case.activations, fidelity="cycle")
    check_closes(result)
    wanted: dict[str, Counter[str]] = {}
    for tag, part in enumerate(program.parts):
        name = case.network.layers[part.layer_index].name
        wanted.setdefault(name, Counter()).update(causes_cycle_by_cycle(oracle_passes(program, tag), chip))
    for name, layer in result.layers.items():
        assert +Counter(layer.account.by_cause()) == wanted[name]
        slots = Fraction(layer.macs, layer.compute_cycles * chip.lanes * chip.columns)
        if layer.kind == "max-pool":  # nothing is multiplied, and a step works for one channel
            assert (layer.macs, layer.utilization, layer.column_steps) == (0, 0.0, layer.steps)
        elif layer.steps:
            lanes = Fraction(layer.lane_steps, layer.steps * chip.lanes)
            columns = Fraction(layer.column_steps, layer.steps * chip.columns)
            assert slots == Fraction(layer.steps, layer.compute_cycles) * lanes * columns
        shares = (layer.step_utilization, layer.lane_utilization, layer.column_utilization, layer.utilization)
        assert all(0 <= share <= 1 for share in shares)
    check_banks(result, chip)


def check_closes(result: Result) -> None:
    """All sums, from the public figures."""
    account, layers = result.account, result.layers.values()
    assert sum(account.by_cause().values()) == result.cycles
    assert account.array == added(ArrayAccount, [layer.account for layer in layers])
    assert account.waits == added(WaitAccount, [*(layer.waits for layer in layers), account.waits_at_end])
    assert all(layer.account.total == layer.compute_cycles for layer in layers)
    assert account.array.total == result.compute_cycles
    assert {channel.total for channel in account.dma.values()} == {result.cycles}
    for sram in account.sram.values():
        for bank, idle in enumerate(sram.idle):
            assert idle + sum(busy[bank] for busy in sram.busy.values()) == result.cycles


def check_banks(result: Result, chip: ChipConfig) -> None:
    """Accesses by initiator, from figures that count something else: steps, output words, bytes."""
    sram, layers = result.account.sram, result.layers.values()
    total = {(name, who): sum(busy) for name, one in sram.items() for who, busy in one.busy.items()}
    assert total.get(("wmem", "fetch"), 0) == sum(layer.steps for layer in layers if layer.kind != "max-pool")
    planes = {layer.name: 6 if result.tensors[layer.name].dtype == np.int32 else 1 for layer in layers}
    words = sum(
        planes[layer.name] * layer.output_shape[0] * -(-layer.output_shape[1] * layer.output_shape[2] // chip.lanes)
        for layer in layers
    )
    assert total["amem", "write_back"] == words
    loaded = {"amem": chip.amem_word_bytes, "wmem": chip.wmem_word_bytes, "imem": chip.imem_word_bytes}
    assert sum(total.get((name, "dma_load"), 0) * size for name, size in loaded.items()) == result.traffic.load_bytes
    assert total["amem", "dma_store"] * chip.amem_word_bytes == result.traffic.store_bytes
    refused: Counter[str] = Counter()
    for one in sram.values():
        refused.update(one.refused)
    # the aligner is never refused: its conflicts are between words of one step
    assert refused == Counter({who: count for who, count in result.bank_conflicts.items() if who != "aligner"})


@examples(15)
@given(case=networks(), chip=chips())
def test_both_fidelities_give_the_same_account(case: NetworkCase, chip: ChipConfig) -> None:
    program = tlm.compile(case.network, chip)
    beat, burst = (tlm.simulate(program, case.activations, fidelity=name) for name in ("cycle", "pass"))
    assert beat.account == burst.account
    for name, layer in beat.layers.items():
        assert (layer.account, layer.waits) == (burst.layers[name].account, burst.layers[name].waits)


# -- outside layers -------------------------------------------------------------------------------------------------


def spans(*intervals: tuple[int, int]) -> Spans:
    found = Spans()
    for start, end in intervals:
        found.add(start, end)
    return found


def test_spans() -> None:
    some = spans((2, 4), (4, 4), (6, 9))
    assert (some.cycles, list(some)) == (5, [(2, 4), (6, 9)])
    assert some.common(spans((0, 3), (3, 7), (8, 20))) == [(2, 3), (3, 4), (6, 7), (8, 9)]
    assert spans((0, 3), (3, 7), (8, 20)).common(some) == some.common(spans((0, 3), (3, 7), (8, 20)))
    some.open(11)
    assert list(some.until(7)) == [(2, 4), (6, 7)]
    assert list(some.until(13)) == [(2, 4), (6, 9), (11, 13)]


def test_waits_go_to_the_part_that_follows() -> None:
    """Engine 20..59 and 80..99, layers 30..49 and 85..94; the host sleeps on loads until 69, on a store from 100."""
    parts = [
        PartRecord(0, [one_pass(30, 1, 1, 0, 40, 49)]),
        PartRecord(1, [one_pass(85, 1, 1, 0, 90, 94)]),
    ]
    waiting = {"weights": spans((5, 15), (55, 70)), "activations": spans((100, 130)), "instructions": spans((15, 18))}
    assert wait_accounts(120, parts, spans((20, 60), (80, 100)), waiting) == [
        WaitAccount(weights=10, instructions=3 + 10, host=5 + 2),
        WaitAccount(weights=10, instructions=10 + 5, host=10),  # 55..59: asleep, but the engine runs: instructions
        WaitAccount(activations=20, instructions=5),
    ]


def two_layers(**chip: Any) -> Result:
    rng = np.random.default_rng(3)
    layers = [
        tlm.Conv2d(name, rng.integers(-8, 8, (16, 16, 3, 3)), padding=1, multiplier=3, shift=8) for name in ("a", "b")
    ]
    network = tlm.Network((16, 8, 8), layers)
    return tlm.simulate(network, rng.integers(0, 16, (16, 8, 8)), tlm.ChipConfig(**chip), fidelity="cycle")


def one_layer(**chip: Any) -> Result:
    """In one part."""
    rng = np.random.default_rng(3)
    layer = tlm.Conv2d("a", rng.integers(-8, 8, (40, 24, 3, 3)), padding=1, multiplier=3, shift=8)
    network = tlm.Network((24, 8, 8), [layer])
    program = tlm.compile(network, SLOW_HOST)
    return tlm.simulate(program, rng.integers(0, 16, (24, 8, 8)), tlm.ChipConfig(**chip), fidelity="cycle")


def test_interrupt_latency_is_the_hosts_alone() -> None:
    """Three loads, the engine and the store are waited for; behind the last interrupt nothing is counted."""
    quick, slow = (one_layer(host_interrupt_ns=ns, frequency_mhz=500.0) for ns in (0.0, 20.0))
    assert slow.cycles - quick.cycles == 4 * 10
    assert slow.account.waits == replace(quick.account.waits, host=quick.account.waits.host + 4 * 10)
    assert slow.account.array == quick.account.array


def test_the_least_that_the_host_takes() -> None:
    """Two cycles on the interconnect for each of 30 accesses (the engine starts while its START is being answered, a
    unit's interrupt is the first cycle of the access that follows), and the last interrupt, behind which none follows.
    """
    result = one_layer(host_access_ns=0.0, host_interrupt_ns=0.0)
    assert result.account.waits.host == 2 * 30 + 1


def test_register_accesses_are_the_hosts_alone() -> None:
    """Before the last interrupt: five writes for each of four transfers, two for the engine, two accesses for each of
    the four interrupts that are handled."""
    quick, slow = (one_layer(host_access_ns=ns, frequency_mhz=500.0) for ns in (0.0, 20.0))
    assert slow.account.waits.host - quick.account.waits.host == 10 * (4 * 5 + 2 + 4 * 2)
    assert slow.account.array == quick.account.array


def test_a_slow_memory_makes_its_waits_longer_and_nothing_else() -> None:
    quick, slow = (one_layer(memory_latency_ns=ns) for ns in (60.0, 600.0))
    before, after = quick.account.waits, slow.account.waits
    assert after.host == before.host
    assert min(after.weights - before.weights, after.activations - before.activations) > 1000
    assert after.instructions > before.instructions
    assert slow.account.array == quick.account.array
    assert slow.account.dma["load"].moving == quick.account.dma["load"].moving
    assert slow.account.dma["load"].memory > 4 * quick.account.dma["load"].memory


def test_weights_that_do_not_fit_are_waited_for_between_parts() -> None:
    rng = np.random.default_rng(1)
    layer = tlm.Conv2d("a", rng.integers(-8, 8, (96, 32, 3, 3)), padding=1, multiplier=3, shift=8)
    network = tlm.Network((32, 4, 4), [layer])
    result = tlm.simulate(
        network, rng.integers(0, 16, (32, 4, 4)), tlm.ChipConfig(wmem_words=320, memory_gb_per_s=0.2), fidelity="cycle"
    )
    check_closes(result)
    found = result.layers["a"]
    assert found.parts == 3
    assert found.waits.weights > result.cycles / 2
    assert found.waits.total + found.compute_cycles + result.account.waits_at_end.total == result.cycles
    # the last load filled WMem, but what is waited for at the end is the store of activations
    end = result.account.waits_at_end
    assert end.weights == 0
    assert end.activations > 0


def test_loads_beside_computation_are_no_wait() -> None:
    result = two_layers()
    check_closes(result)
    load = result.account.dma["load"]
    asleep = sum(getattr(result.account.waits, cause) for cause in ("weights", "activations", "instructions"))
    assert load.idle < result.cycles - (load.moving + load.bank_conflict)
    assert result.layers["b"].waits.weights < result.layers["a"].waits.weights
    assert asleep < result.cycles


# -- sums that do not close -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "complaint"),
    [
        (RunAccount(array=ArrayAccount(computing=9)), r"causes: .* sum to 9, but the run took 10"),
        (RunAccount(array=ArrayAccount(computing=11), waits=WaitAccount(host=-1)), "causes"),
        (RunAccount(waits=WaitAccount(host=10), dma={"load": ChannelAccount(idle=12)}), r"dma\.load"),
        (
            RunAccount(waits=WaitAccount(host=10), sram={"amem": SramAccount(busy={"aligner": (1, 2)}, idle=(9, 9))}),
            "amem bank 1",
        ),
    ],
)
def test_a_sum_that_does_not_close_is_an_error(account: RunAccount, complaint: str) -> None:
    with pytest.raises(SimulationError, match=complaint):
        check_sums(account, 10)
