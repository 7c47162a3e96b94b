"""Binary formats: instructions, headers, descriptors, registers, addresses, and the layout of tensors in memory."""
