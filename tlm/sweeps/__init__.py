"""Sweeps: one scenario with many settings, on every core or on a Dask cluster (docs/exploration.md).

Files: ``axes`` (what is varied, ``--over``), ``sampling`` (grids and samples), ``constraints`` (``--where``), ``plan``
(scenario and axes to checked points), ``columns`` (what is kept of a run), ``task`` (what a worker does), ``store``
(SQLite), ``executors`` (processes, Dask), ``runner`` (points through an executor into the store), ``table`` (rows out:
Python, CSV, Parquet), ``api`` (all of it in one call).
"""
