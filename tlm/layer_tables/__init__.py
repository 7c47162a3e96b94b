"""Tables of layers in the format of SCALE-Sim's topology files; each layer runs alone."""
