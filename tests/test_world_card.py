"""The card of a world model states what was measured, and says where it falls short."""

from __future__ import annotations

from transformers_uniref.hub.world_card import WANTED, measured_table, render_world_card


def evaluation(met: bool) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for _, section, key, bound, less in WANTED:
        values.setdefault(section, {})[key] = bound + (-0.01 if less == met else 0.01)
    return values


def test_every_row_of_the_table_is_judged():
    table, short = measured_table(evaluation(met=True))
    assert short == [] and table.count("\n") == len(WANTED) + 1
    assert measured_table(evaluation(met=False))[1] == [row[0] for row in WANTED]


def test_the_card_names_what_falls_short():
    values = evaluation(met=True)
    values["vos"]["jf"] = 0.5
    card = render_world_card(
        "uniref-pp",
        values,
        training="Trained for 3 steps.",
        parameters=8_080_000,
        text_length=24,
        vocabulary=180,
        seed=7,
        images=400,
        clips=100,
    )
    assert card.startswith("---\nlibrary_name: transformers")
    assert "| VOS J&F | at least 0.92 | 0.500 |" in card
    assert "**Short of what is wanted:** VOS J&F." in card
    assert "8.1 M parameters" in card and "Trained for 3 steps." in card
