"""Every published figure beside the simulated one: what ``tlm reproduce`` runs and prints.

:mod:`~tlm.reproduction.measure` runs the simulator; :mod:`~tlm.reproduction.page` fills ``page.md`` with tables of what
it found beside what was published. Nothing is written down here but the published figures
(:mod:`~tlm.reproduction.published`), the prose, and what each label means.
"""
