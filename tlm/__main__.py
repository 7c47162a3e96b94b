"""The command ``tlm``, also as ``python -m tlm``: a process of its own."""

import os
import sys
from importlib import import_module

from tlm.core.garbage import collect_seldom
from tlm.core.interruption import SIGNALLED, leave_on_ctrl_c


def main() -> int:
    """Run the command line; returns the exit status."""
    leave_on_ctrl_c()
    collect_seldom()
    status: int = import_module("tlm.cli").main()
    if status > SIGNALLED:
        # Where Ctrl-C meets code that Python itself runs from text (every dataclass does when it is made), Python kills
        # the process with the signal when it ends, whoever caught the exception; this leaves before that.
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
