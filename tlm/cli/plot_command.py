"""``tlm plot``: pictures of results, without any viewer."""

import argparse

from tlm.cli.progress import status_line
from tlm.plots.style import require_matplotlib
from tlm.results.files import check_writable


def run(arguments: argparse.Namespace) -> int:
    """Draw and write the pictures."""
    require_matplotlib()
    from tlm.plots.render import figures, render
    from tlm.plots.sources import load_sources

    shown = figures(load_sources(arguments.results), arguments.only)
    formats = ("png", "svg") if arguments.format == "both" else (arguments.format,)
    check_writable(arguments.output, "-o", *(f"{name}.{suffix}" for name in shown for suffix in formats))
    with status_line() as show:
        written = list(render(shown, arguments.output, formats, show))
    print(f"wrote {', '.join(map(str, written))}")
    return 0
