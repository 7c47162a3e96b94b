"""Scenario files: what to run on which chip, in TOML.

Files: ``schema`` (what a file may say), ``networks`` and ``inputs`` (the kinds of those), ``sections`` (what all three
are made of), ``sources`` (TOML files, ``extends``, ``--set``, and where each key stands), ``checking`` (from plain data
to the schema's structs, with messages for people), ``loading`` (a file to something that can run), ``arrays`` (.npy and
.npz files), ``json_schema`` (the schema for editors), ``catalog`` (which files exist).
"""
