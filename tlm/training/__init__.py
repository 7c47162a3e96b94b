"""Training: gradual pruning and dynamic quantization make the integer networks that the engine runs.

Nothing outside this package imports torch, and ``import tlm`` works without it. Files without torch: ``datasets``,
``architecture`` (which layers there are), ``recipe`` (what to do, from a TOML file).
Files with torch: ``quantiser`` (the learned step), ``pruning`` (masks), ``shifts``, ``float_layers`` and
``int4_layers`` (the same layers twice), ``networks``, ``batches``, ``gradual`` (what a stage prunes when), ``loop``
(one stage), ``stages`` (all of them), ``export`` (to :class:`tlm.Network`), ``finish`` (the files of a network).
"""
