"""The command ``tlm``: one module a subcommand.

A command's module has ``add_parser(commands)``, which declares its arguments, and ``run(arguments)``, which does the
work and returns the exit status. Modules import what they need inside ``run``, since every start pays for the
declarations of all of them.
"""

from tlm.cli.main import main

__all__ = ["main"]
