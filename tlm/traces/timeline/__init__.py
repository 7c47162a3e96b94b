"""The trace of a run for timeline viewers: Chrome's JSON format, as Perfetto and chrome://tracing read it."""
