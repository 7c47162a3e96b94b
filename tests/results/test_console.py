"""Tables on a terminal."""

import pytest

from tlm.results.console import facts, report_console, table_of


def test_texts_that_name_emojis_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    console = report_console()
    console.print(table_of([("layer :cat:", "left")], [[":smile:"]]))
    console.print(facts([(":dog:", ":cow: moo")]))
    printed = capsys.readouterr().out.split()
    assert {"layer", ":cat:", ":smile:", ":dog:", ":cow:", "moo"} <= set(printed)
