"""The command ``tlm``: ``commands`` declares the command line, ``main`` runs it, a module per command does the work."""

from tlm.cli.main import main

__all__ = ["main"]
