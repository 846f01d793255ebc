"""The card game: rounds are dealt as it says, players do what they say, buttons play it."""

import pytest
import torch
from torch import Generator

from cl_course.data import load
from cl_course.lessons.start_here.lab_game import (
    COLOUR_TWIN,
    KINDS,
    LEVELS,
    OTHER,
    SAME,
    SCORE_COLUMNS,
    CardGame,
    deal,
    guesser,
    score_rows,
    share,
    simple_players,
    static_rounds,
    tournament,
)
from cl_course.shortcut import mean_colour


@pytest.fixture(scope="module")
def cards():
    return load("shapes", "val", limit=200)


def test_a_round_has_one_partner_and_two_impostors(cards):
    generator = Generator().manual_seed(0)
    places = set()
    for level in LEVELS:
        for _ in range(4):
            dealt = deal(cards, level, generator)
            assert sorted(dealt.kinds) == sorted([*KINDS[:3], OTHER, OTHER, OTHER])
            assert dealt.candidates.shape == (6, 3, 32, 32) and dealt.anchor.shape == (3, 32, 32)
            places.add(dealt.positive)
            far = (mean_colour(dealt.candidates) - mean_colour(dealt.anchor[None])).norm(dim=1)
            wrong = [i for i, kind in enumerate(dealt.kinds) if kind != SAME]
            assert dealt.kinds[min(wrong, key=lambda i: far[i])] == COLOUR_TWIN
    assert len(places) > 3  # the partner lies anywhere


def test_without_disguise_the_partner_is_the_card_itself(cards):
    dealt = deal(cards, "no disguise", Generator().manual_seed(1))
    assert torch.equal(dealt.candidates[dealt.positive], dealt.anchor)


def test_the_same_seed_deals_the_same_round(cards):
    first, again, other = (deal(cards, "and dyed", Generator().manual_seed(s)) for s in (2, 2, 3))
    assert torch.equal(first.candidates, again.candidates) and first.kinds == again.kinds
    assert not torch.equal(first.anchor, other.anchor)


def test_scores_tell_what_a_player_relied_on(cards):
    taken = tournament(cards, simple_players() | {"cheat": lambda dealt: dealt.positive}, rounds=12, seeds=[0, 1])
    assert (share(taken["cheat"]) == 1).all() and share(taken["cheat"]).shape == (len(LEVELS), 2)
    assert (share(taken["mean colour"])[0] == 1).all()
    assert share(taken["mean colour"], COLOUR_TWIN)[-1].mean() > 0.8
    assert 0.02 < share(taken["guessing"]).mean() < 0.4
    rows = score_rows(taken)
    assert [row[0] for row in rows] == list(taken) and all(len(row) == len(SCORE_COLUMNS) for row in rows)
    assert rows[-1] == ["cheat", "100%", "0%", "0%", "0%"] and SCORE_COLUMNS[1] == SAME


def test_a_guesser_guesses(cards):
    dealt = deal(cards, "no disguise", Generator().manual_seed(0))
    play = guesser(Generator().manual_seed(0))
    assert {play(dealt) for _ in range(100)} == set(range(6))


def test_the_static_figure_has_a_row_for_every_level(cards):
    figure = static_rounds(cards, simple_players())
    assert len(figure.axes) == len(LEVELS) * 8


def test_a_whole_game_by_its_buttons(cards):
    game = CardGame(cards, seed=0)
    assert game.next.disabled and not any(button.disabled for button in game.buttons)
    for number, dealt in enumerate(game.rounds, 1):
        before = game.picture.value
        right = number % 2 == 1
        place = dealt.positive if right else (dealt.positive + 1) % 6
        game.buttons[place].click()
        assert game.picture.value != before and all(button.disabled for button in game.buttons)
        assert game.words.value.count("Yes") == right and f"of {number} found" in game.words.value
        if number < len(game.rounds):
            assert not game.next.disabled
            game.next.click()
    assert game.next.disabled and "you" in game.words.value
    assert sum(counts[0][SAME] for counts in game.taken.values()) == 5
    assert sum(counts[0].total() for counts in game.taken.values()) == 10


def test_a_game_not_played_has_an_empty_score(cards):
    assert score_rows({"you": CardGame(cards).taken}) == []
