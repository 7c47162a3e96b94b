"""Write what cffi needs from the kernels' headers: the declarations and the C prelude that includes them.

    python kernels/collect_cdef.py HEADER_DIRECTORY CDEF_OUT PRELUDE_OUT

Each header says between the lines ``/* cdef begin */`` and ``/* cdef end */`` what Python may call. geometry.h comes
first, then alphabetical order, but every header behind those that it includes, whose structs it uses.
"""

import re
import sys
from pathlib import Path

BEGIN, END = "/* cdef begin */", "/* cdef end */"


def declarations(header: Path) -> str:
    """The part of a header between the markers, or "" if it has none.

    Raises:
        SystemExit: a marker without its partner.
    """
    text = header.read_text(encoding="utf-8")
    if text.count(BEGIN) != text.count(END) or text.count(BEGIN) > 1:
        raise SystemExit(f"{header.name}: needs one line '{BEGIN}' and one line '{END}', or neither")
    return text.partition(BEGIN)[2].partition(END)[0]


def in_order(headers: list[Path]) -> list[Path]:
    """The headers, each behind those of them that it includes."""
    named, ordered = {header.name: header for header in headers}, list[Path]()

    def add(header: Path) -> None:
        for name in re.findall(r'^#include "(.+)"', header.read_text(encoding="utf-8"), re.MULTILINE):
            if name in named and named[name] not in ordered:
                add(named[name])
        if header not in ordered:
            ordered.append(header)

    for header in headers:
        add(header)
    return ordered


def main(directory: str, cdef_out: str, prelude_out: str) -> None:
    """Collect every ``*.h`` of a directory."""
    headers = sorted(Path(directory).glob("*.h"), key=lambda path: (path.name != "geometry.h", path.name))
    exported = [header for header in in_order(headers) if declarations(header)]
    Path(cdef_out).write_text("".join(map(declarations, exported)), encoding="utf-8")
    Path(prelude_out).write_text("".join(f'#include "{header.name}"\n' for header in exported), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
