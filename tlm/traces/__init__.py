"""Traces of a run: waveforms for GTKWave and timelines for Perfetto (docs/waveforms.md, docs/timeline-trace.md)."""
