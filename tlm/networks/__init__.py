"""Networks of known shape with seeded weights, calibrated for the input they are given.

Files: ``seeded`` (integers from raw random bits), ``weights`` (bell-shaped 4-bit weights and pruning), ``builder``
(puts layers together, calibrates them, keeps their golden outputs), ``calibration`` (requantisation that uses the whole
4-bit range), ``blocks`` (PW-DW-PW, and of standard convolutions), ``resnet18`` (the whole network, its stages and
blocks), ``imagenet`` (MobileNetV2, ResNet-50), ``stack`` (layers listed one by one), ``fuse`` (depth-wise and
point-wise kernel as one).
"""
