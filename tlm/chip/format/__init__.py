"""What bits mean: instructions, headers, descriptors, registers, addresses, and how tensors lie in memory."""
