"""The C kernels behind a typed, checked edge."""
