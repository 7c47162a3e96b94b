"""Mutations of max pooling and bands in both models; see mutations.py."""

from __future__ import annotations

from mutation_rules import Mutation


def _cycle(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "cycle", f"tlm/chip/cycle/{file}", old, new)


def _python(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "pass", f"tlm/chip/passes/{file}", old, new)


def _kernel(rule: str, file: str, old: str, new: str) -> Mutation:
    return Mutation(rule, "pass", f"kernels/{file}", old, new)


_ONE = "yield self.clock.cycles(1)"

_POOLING = (
    _cycle(
        "a pooling group's pattern words speak of its own channels",
        "sequencer.py",
        "last = header.pattern_words(group, columns) - 1",
        "last = header.pattern_words(0, columns) - 1",
    ),
    _kernel(
        "a pooling group's pattern words speak of its own channels",
        "occupancy.c",
        "const int32_t words = tlm_patterns_of_group(l->g, group);",
        "const int32_t words = l->patterns_per_group;",
    ),
    _cycle(
        "a step of max pooling reads no weight word",
        "sequencer.py",
        "                if not header.pooling:\n",
        "                if True:\n",
    ),
    _python(
        "a step of max pooling reads no weight word",
        "sequencer.py",
        "weight_base_word=None if header.pooling else header.weight_base_word",
        "weight_base_word=header.weight_base_word",
    ),
    _cycle(
        "a step of max pooling keeps the maximum in its channel's row",
        "mac_array.py",
        "vector.channel % columns",
        "vector.channel % columns // 2",
    ),
    _kernel(
        "a step of max pooling keeps the maximum in its channel's row",
        "pool.c",
        "value > largest[lane] ? value : largest[lane];",
        "(uint8_t)((value + largest[lane]) & 15);",
    ),
)

_BANDS = (
    _cycle(
        "a banded layer has two more header words, read one a cycle",
        "sequencer.py",
        f"(address + offset)))\n                {_ONE}",
        "(address + offset)))\n                yield self.clock.cycles(2 if offset > 5 else 1)",
    ),
    _python(
        "a banded layer has two more header words, read one a cycle",
        "sequencer.py",
        "header_words=header.header_words,",
        "header_words=header.header_words - (header.band is not None),",
    ),
    _cycle(
        "input planes lie input_plane_words apart",
        "aligner.py",
        "header.input_plane_words(lanes)",
        "-(-header.height * header.width // lanes)",
    ),
    _kernel(
        "input planes lie input_plane_words apart",
        "calendar.c",
        "g->input_plane_words % l->t->amem_banks;",
        "(int32_t)(tlm_plane_words(g->lanes, g->height, g->width) % l->t->amem_banks);",
    ),
    _cycle(
        "output planes lie output_plane_words apart",
        "requantiser.py",
        "header.output_plane_words(lanes)",
        "header.all_tiles(lanes)",
    ),
    _kernel(
        "output planes lie output_plane_words apart",
        "timing.c",
        ".output_step = l->t->output_plane_words % banks",
        ".output_step = l->tiles % banks",
    ),
    _cycle(
        "residual planes lie residual_plane_words apart",
        "requantiser.py",
        "header.residual_plane_words(lanes)",
        "header.all_tiles(lanes)",
    ),
    _kernel(
        "residual planes lie residual_plane_words apart",
        "timing.c",
        "at.residual_step = l->t->residual_plane_words % banks;",
        "at.residual_step = l->tiles % banks;",
    ),
)

MUTATIONS = _POOLING + _BANDS
