"""``tlm completion``: the script that makes a shell complete commands, options, scenarios and keys."""

import argparse

from argcomplete.shell_integration import shellcode


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(shellcode(["tlm"], shell=arguments.shell).strip())
    return 0
