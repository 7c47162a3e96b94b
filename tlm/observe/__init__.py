"""Observers: what watches a running model at its sockets and probes, and never changes it."""
