"""Waveforms: value change dumps at two levels, the names of states, and the layout that GTKWave opens them with."""
