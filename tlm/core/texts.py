"""Words of messages and of objects that show themselves."""


def counted(count: int, noun: str) -> str:
    """``1 layer``, ``2,000 layers``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
