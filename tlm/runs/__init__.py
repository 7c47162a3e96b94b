"""Many inputs through a compiled program's exact arithmetic, and what comes of them (docs/evaluation.md)."""
