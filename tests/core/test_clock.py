"""Time: slots within a cycle, pipelines and queues."""

from __future__ import annotations

import itertools

import pytest
import simpy

from tlm.core.clock import Clock, Pipeline, Queue
from tlm.core.errors import ProtocolError


def run(*bodies, clock: Clock) -> None:
    """Until nothing more can happen."""
    for body in bodies:
        clock.env.process(body)
    assert not clock.run(clock.env.event())


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


def test_who_waits_for_a_cycle_goes_on_in_the_order_of_asking_from_near_or_far(clock: Clock) -> None:
    order: list[tuple[int, str]] = []

    def wait(name: str, *counts: int):
        for count in counts:
            yield clock.cycles(count)
        order.append((clock.now, name))

    run(wait("a", 2, 3), wait("b", 5), wait("c", 4, 1), wait("d", 5, 0), clock=clock)
    assert order == [(5, "b"), (5, "a"), (5, "c"), (5, "d")]


def test_a_cycle_that_is_over_cannot_be_waited_for(clock: Clock) -> None:
    with pytest.raises(ValueError, match="Negative delay"):
        clock.cycles(-1)


@pytest.mark.parametrize("cycles", [0, 1, 2, 5])
def test_a_pipeline_gives_each_item_after_its_cycles_one_a_cycle(clock: Clock, cycles: int) -> None:
    """An item put in cycle t leaves in t + cycles, at a throughput of one a cycle."""
    left: list[tuple[int, int]] = []
    pipeline: Pipeline[int] = Pipeline(clock, cycles, lambda item: left.append((clock.now, item)))

    def writer():
        for item in range(6):
            pipeline.put(item)
            yield clock.cycles(1)

    run(writer(), clock=clock)
    assert left == [(item + cycles, item) for item in range(6)]


def test_two_items_of_one_cycle_leave_a_pipeline_in_order(clock: Clock) -> None:
    left: list[tuple[int, str]] = []
    pipeline: Pipeline[str] = Pipeline(clock, 2, lambda item: left.append((clock.now, item)))

    def writer():
        yield clock.cycles(3)
        pipeline.put("a")
        pipeline.put("b")

    run(writer(), clock=clock)
    assert left == [(5, "a"), (5, "b")]


def test_an_error_where_an_item_leaves_stops_the_run(clock: Clock) -> None:
    def refuse(item: str) -> None:
        raise ProtocolError(f"no {item} here")

    Pipeline(clock, 2, refuse).put("a")
    with pytest.raises(ProtocolError, match="no a here"):
        run(clock=clock)
    assert clock.now == 2


def test_a_queue_has_no_delay_whoever_comes_first(clock: Clock) -> None:
    queue: Queue[str] = Queue(clock)
    got: list[tuple[int, str]] = []

    def writer():
        queue.put("a")
        queue.put("b")  # two in one cycle keep their order
        yield clock.cycles(9)
        queue.put("c")

    def reader():
        yield clock.cycles(8)
        for _ in range(3):
            item = yield queue.get()
            got.append((clock.now, item))

    run(writer(), reader(), clock=clock)
    assert got == [(8, "a"), (8, "b"), (9, "c")]


def test_two_items_of_one_cycle_reach_a_waiting_reader_in_order(clock: Clock) -> None:
    queue: Queue[str] = Queue(clock)
    got: list[tuple[int, str]] = []

    def reader():
        for _ in range(2):
            item = yield queue.get()
            got.append((clock.now, item))

    def writer():
        yield clock.cycles(3)
        queue.put("a")
        queue.put("b")

    run(reader(), writer(), clock=clock)
    assert got == [(3, "a"), (3, "b")]


def test_a_queue_has_one_reader(clock: Clock) -> None:
    queue: Queue[int] = Queue(clock)
    queue.get()
    with pytest.raises(ProtocolError, match="two readers"):
        queue.get()
