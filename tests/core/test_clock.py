"""Time: slots within a cycle, and clocked registers."""

from __future__ import annotations

import itertools

import pytest
import simpy

from tlm.core.clock import Clock, Register
from tlm.core.errors import ProtocolError


def run(*bodies, clock: Clock) -> None:
    for body in bodies:
        clock.env.process(body)
    clock.env.run()


@pytest.fixture
def clock() -> Clock:
    return Clock(simpy.Environment())


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2, 3])), ids=str)
def test_slots_follow_each_other_whoever_asks_first(clock: Clock, order: tuple[int, ...]) -> None:
    served: list[tuple[int, int]] = []

    def ask(slot: int):
        yield clock.cycles(4)
        if slot:
            yield clock.slot(slot)
        served.append((clock.now, slot))

    run(*(ask(slot) for slot in order), clock=clock)
    assert served == [(4, 0), (4, 1), (4, 2), (4, 3)]


def test_what_a_slot_sets_off_in_the_same_cycle_comes_before_the_next_slot(clock: Clock) -> None:
    served: list[str] = []
    granted = clock.env.event()

    def first():
        yield clock.slot(1)
        served.append("slot 1")
        granted.succeed()

    def follower():
        yield granted
        served.append("its consequence")

    def second():
        yield clock.slot(2)
        served.append("slot 2")

    run(second(), first(), follower(), clock=clock)
    assert served == ["slot 1", "its consequence", "slot 2"]


def test_within_a_slot_it_is_first_come_first_served(clock: Clock) -> None:
    served: list[int] = []

    def ask(index: int):
        yield clock.slot(1)
        served.append(index)

    run(*(ask(index) for index in range(5)), clock=clock)
    assert served == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("cycles", [0, 1, 2, 5])
@pytest.mark.parametrize("reader_first", [True, False])
def test_a_register_hands_over_after_its_cycles_one_item_a_cycle(clock: Clock, cycles: int, reader_first: bool) -> None:
    """An item put in cycle t is got in t + cycles, at a throughput of one a cycle."""
    register: Register[int] = Register(clock, cycles)
    got: list[tuple[int, int]] = []

    def writer():
        for item in range(6):
            register.put(item)
            yield clock.cycles(1)

    def reader():
        for _ in range(6):
            item = yield register.get()
            got.append((clock.now, item))

    run(*((reader(), writer()) if reader_first else (writer(), reader())), clock=clock)
    assert got == [(item + cycles, item) for item in range(6)]


def test_a_late_reader_gets_everything_in_order_at_once(clock: Clock) -> None:
    register: Register[str] = Register(clock, 2)
    got: list[tuple[int, str]] = []

    def writer():
        register.put("a")
        register.put("b")  # two in one cycle keep their order
        yield clock.cycles(9)
        register.put("c")

    def reader():
        yield clock.cycles(8)
        for _ in range(3):
            item = yield register.get()
            got.append((clock.now, item))

    run(writer(), reader(), clock=clock)
    assert got == [(8, "a"), (8, "b"), (11, "c")]


def test_two_items_of_one_cycle_reach_a_waiting_reader_in_order(clock: Clock) -> None:
    register: Register[str] = Register(clock, 1)
    got: list[tuple[int, str]] = []

    def reader():
        for _ in range(2):
            item = yield register.get()
            got.append((clock.now, item))

    def writer():
        yield clock.cycles(3)
        register.put("a")
        register.put("b")

    run(reader(), writer(), clock=clock)
    assert got == [(4, "a"), (4, "b")]


def test_a_register_has_one_reader(clock: Clock) -> None:
    register: Register[int] = Register(clock)
    register.get()
    with pytest.raises(ProtocolError, match="two readers"):
        register.get()
