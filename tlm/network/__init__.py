"""What a user says: a network of layers, the golden model that computes it, and the comparison with a run."""
