"""Reports: one self-contained HTML file for a run or a sweep. ``page`` is what both have in common."""
