"""The blocks around the engine: host, interconnect, off-chip memory; the folder ``passes`` refines the last two."""
