"""The card game: rounds are dealt as it says, players do what they say, and the page gets all of it."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Generator

from cl_course.data import load
from cl_course.lessons.start_here import lab_game
from cl_course.lessons.start_here.lab_game import (
    COLOUR_TWIN,
    KINDS,
    LEVELS,
    OTHER,
    SAME,
    SCORE_COLUMNS,
    card_game,
    deal,
    guesser,
    score_rows,
    share,
    simple_players,
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


@pytest.fixture
def shown(monkeypatch):
    displayed = []
    monkeypatch.setattr(lab_game, "display", displayed.append)
    return displayed


def test_the_page_gets_the_rounds_and_what_the_players_took(cards, shown):
    card_game(cards, seed=3, rounds=2)
    generator, players = Generator().manual_seed(3), simple_players(3)
    dealt = [deal(cards, level, generator) for level in LEVELS for _ in range(2)]
    data = shown[0].data
    assert data["levels"] == list(LEVELS) and data["players"] == list(players)
    assert [each["level"] for each in data["rounds"]] == [each.level for each in dealt]
    for sent, each in zip(data["rounds"], dealt):
        assert sent["kinds"] == list(each.kinds)
        assert sent["picks"] == {name: player(each) for name, player in players.items()}
    assert data["columns"] * data["rows"] >= 7 * len(dealt)


def test_a_game_of_fifty_rounds_is_small(cards, shown):
    card_game(cards)
    assert len(shown[0].data["rounds"]) == 50 and len(json.dumps(shown[0].data)) < 200_000


def test_what_cannot_be_dealt_is_said(cards):
    with pytest.raises(ValueError, match="rounds must be a whole number of at least 1, got 0"):
        card_game(cards, rounds=0)
    with pytest.raises(ValueError, match="cards must have labels"):
        card_game(replace(cards, labels=None))
