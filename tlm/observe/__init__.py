"""Observers: they watch a running model at its events, sockets and probes, and never change it."""
