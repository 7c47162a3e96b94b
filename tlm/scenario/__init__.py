"""Scenario files: what to run on which chip, in TOML.

Files: ``schema`` (what a file may say), ``networks`` and ``inputs`` (the kinds of those), ``sections`` (what all three
are made of), ``batch_inputs`` (further inputs), ``sources`` (TOML files, ``extends``, ``--set``, and where each key
stands), ``checking`` (from plain data to the schema's structs, with messages for people), ``blame`` (which key heads a
message), ``loading`` (a file to something that can run), ``json_schema`` (the schema for editors and messages),
``catalog`` (which files exist).
"""
