"""Every published figure beside the simulated one: what ``tlm reproduce`` runs and prints.

:mod:`~tlm.reproduction.measure` runs the simulator, :mod:`~tlm.reproduction.report` puts what it found beside what was
published, :mod:`~tlm.reproduction.text` writes that for a terminal or as Markdown. Nothing is written down here but
the published figures (:mod:`~tlm.reproduction.published`) and what each label means.
"""
