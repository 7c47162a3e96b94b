"""Pictures of results: for each figure what is drawn, as plain values, and then the drawing. Needs matplotlib."""
