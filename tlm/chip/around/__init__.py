"""The blocks around the engine, the same in every model: host, interconnect, off-chip memory."""
