"""The package's version: its metadata, which take time to read, are made from this."""

__version__ = "0.1.0"
