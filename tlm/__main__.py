"""The command ``tlm``, also as ``python -m tlm``: a process of its own."""

import atexit
import os
import sys
import threading
from importlib import import_module

from tlm.core.garbage import collect_seldom
from tlm.core.interruption import SIGNALLED, leave_on_ctrl_c


def main() -> int:
    """Run the command line. The process ends here if it is the command's alone; else returns the exit status."""
    leave_on_ctrl_c()
    collect_seldom()
    words = sys.argv
    status: int = import_module("tlm.cli").main()
    if status > SIGNALLED:
        # Where Ctrl-C meets code that Python itself runs from text (every dataclass does when it is made), Python kills
        # the process with the signal when it ends, whoever caught the exception; this leaves before that.
        os._exit(status)
    if sys.argv is words and _is_alone():  # a user's script got words of its own, and may have files open
        # Python would take every object apart, which is a twentieth of a network's time.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _is_alone() -> bool:
    """No profiler, debugger, prompt or thread has yet to work."""
    others = sys.getprofile() or sys.gettrace() or sys.flags.interactive
    return not others and threading.active_count() == 1


if __name__ == "__main__":
    sys.exit(main())
