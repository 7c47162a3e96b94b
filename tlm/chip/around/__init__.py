"""What surrounds the engine in every model: host, interconnect, off-chip memory."""
