"""What a run says: tensors and records taken from it, the file that keeps them, the tables that are printed."""
