"""Payloads: responses that start INCOMPLETE, and chains of causes."""

from __future__ import annotations

import enum

import pytest
from transaction_bench import pair, read, write

from tlm.core.errors import ProtocolError
from tlm.core.payload import Origin, Response


class Level(enum.Enum):
    LAYER = "layer"
    PASS = "pass"
    BURST = "burst"
    BEAT = "beat"


def test_a_payload_starts_unanswered_and_unaccepted() -> None:
    payload = read()
    assert (payload.status, payload.accepted, payload.origin) == (Response.INCOMPLETE, False, None)


def test_a_forgotten_answer_is_named_with_target_and_payload() -> None:
    simulation, cpu, _ = pair(lambda payload: None)
    with pytest.raises(ProtocolError, match=r"ram\.port: returned from read of 8 bytes at 0x40 without an answer"):
        simulation.run(lambda: cpu.out.b_transport(read(0x40)))


@pytest.mark.parametrize("status", [status for status in Response if status is not Response.INCOMPLETE])
def test_an_answered_payload_cannot_be_sent_again_before_it_is_rearmed(status: Response) -> None:
    simulation, cpu, _ = pair()
    payload = write(0x10, b"12345678", status=status)
    with pytest.raises(
        ProtocolError, match=rf"cpu\.out: write of 8 bytes at 0x10 was sent with status '{status.value}'"
    ):
        simulation.run(lambda: cpu.out.b_transport(payload))


def test_a_rearmed_payload_goes_through_all_phases_again() -> None:
    simulation, cpu, ram = pair(lambda payload: serve(payload))
    answers = [Response.RETRY, Response.OK]

    def serve(payload):
        ram.port.accept(payload)
        payload.status = answers.pop(0)

    payload = read()

    def body():
        yield from cpu.out.b_transport(payload)
        assert payload.status is Response.RETRY
        payload.rearm()
        yield from cpu.out.b_transport(payload)

    simulation.run(body)
    assert payload.status is Response.OK
    assert not answers


def test_causes_chain_from_the_part_to_the_whole() -> None:
    layer = Origin(Level.LAYER, 3)
    beat = Origin(Level.BEAT, 7, Origin(Level.PASS, 12, layer))
    assert beat.find(Level.LAYER) is layer
    assert beat.find(Level.BEAT) is beat
    assert beat.find(Level.BURST) is None
    assert str(beat) == "layer 3 > pass 12 > beat 7"
    assert read(0x20, origin=beat).describe() == "read of 8 bytes at 0x20 for layer 3 > pass 12 > beat 7"


def test_payloads_are_told_apart_by_identity() -> None:
    assert read() != read()  # two equal requests under way are two transactions
