"""``python -m tlm`` is the command ``tlm``."""

import sys

from tlm.cli import main

sys.exit(main())
