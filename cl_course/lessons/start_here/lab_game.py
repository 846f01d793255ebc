"""The card game of lesson 00: pick the card that shows the same object as the anchor.

The rounds are dealt like a hard batch of contrastive learning: every card, the anchor included, is a
disguised view, and among the wrong cards lie two chosen to fool a player who looks at one thing
alone. Simple players, who do just that, play the same rounds, so that a score can be read.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment, greyscale, two_views
from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import sprite
from cl_course.shortcut import colour_histogram, mean_colour, nearest, raw_pixels
from cl_course.values import whole

_PLAIN = AugmentConfig(crop=(1, 1), flip=0, jitter=0, grey=0)
_CROPPED = replace(_PLAIN, crop=(0.4, 1.0), flip=0.5)
_SHADED = replace(_CROPPED, jitter=1.0, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.0)
_DYED = replace(_SHADED, hue=0.5)
_GREYED = replace(_DYED, grey=0.7, blur=0.5, solarize=0.2)
LEVELS = {
    "no disguise": _PLAIN,
    "cropped, mirrored": _CROPPED,
    "and in other light": _SHADED,
    "and dyed": _DYED,
    "and greyed, blurred": _GREYED,
}

SAME, COLOUR_TWIN, LAYOUT_TWIN, OTHER = KINDS = ("same card", "colour twin", "layout twin", "other")
POOL = 100  # cards that the wrong ones of a round are taken from


@dataclass(frozen=True)
class Round:
    """anchor: (3, h, w); candidates: (6, 3, h, w); kinds: what each candidate is, of KINDS."""

    level: str
    anchor: Tensor
    candidates: Tensor
    kinds: tuple[str, ...]

    @property
    def positive(self) -> int:
        return self.kinds.index(SAME)


Player = Callable[[Round], int]


def deal(cards: ImageSet, level: str, generator: Generator) -> Round:
    """One round: a card in two disguises, and five disguised cards of other classes.

    The colour twin has, of POOL cards, the mean colour nearest to the anchor's; the layout twin, of
    the others, the nearest pixels in shades of grey. The last three are drawn by chance.
    """

    def chance(n: int) -> int:
        return int(torch.randint(n, (1,), generator=generator))

    config = LEVELS[level]
    card = chance(len(cards))
    others = (cards.labels != cards.labels[card]).nonzero().flatten()
    others = others[torch.randperm(len(others), generator=generator)[:POOL]]
    anchor, positive = two_views(to_float(cards.images[card : card + 1]), config, generator)
    pool = augment(to_float(cards.images[others]), config, generator)

    colour_twin = int(nearest(anchor, pool, mean_colour))
    rest = torch.cat([pool[:colour_twin], pool[colour_twin + 1 :]])
    layout_twin = int(nearest(anchor, rest, _layout))
    rest = torch.cat([rest[layout_twin : layout_twin + 1], rest[:layout_twin], rest[layout_twin + 1 :]])

    candidates = torch.cat([positive, pool[colour_twin : colour_twin + 1], rest[:4]])
    kinds = (SAME, COLOUR_TWIN, LAYOUT_TWIN, OTHER, OTHER, OTHER)
    order = torch.randperm(len(kinds), generator=generator)
    return Round(level, anchor[0], candidates[order], tuple(kinds[i] for i in order))


def _layout(images: Tensor) -> Tensor:
    """Where it is light and where dark, whatever the colours and their strength."""
    flat = raw_pixels(greyscale(images, torch.ones(len(images), dtype=torch.bool)))
    return F.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)


def looks_at(feature: Callable[[Tensor], Tensor]) -> Player:
    """A player who takes the candidate whose feature is nearest to the anchor's."""

    @torch.no_grad()
    def play(dealt: Round) -> int:
        return int(nearest(dealt.anchor[None], dealt.candidates, feature))

    return play


def guesser(generator: Generator) -> Player:
    return lambda dealt: int(torch.randint(len(dealt.kinds), (1,), generator=generator))


def simple_players(seed: int = 0) -> dict[str, Player]:
    """Three who look at one thing each, and one who does not look."""
    features = {"mean colour": mean_colour, "colour histogram": colour_histogram, "raw pixels": raw_pixels}
    return {name: looks_at(feature) for name, feature in features.items()} | {
        "guessing": guesser(Generator().manual_seed(seed))
    }


def tournament(
    cards: ImageSet, players: Mapping[str, Player], rounds: int, seeds: Sequence[int]
) -> dict[str, dict[str, list[Counter]]]:
    """All players play the same `rounds` rounds at every level, once for each seed.

    Returns:
        player -> level -> for each seed, how often which kind of card was taken.
    """
    taken = {player: {level: [] for level in LEVELS} for player in players}
    for seed in seeds:
        generator = Generator().manual_seed(seed)
        for level in LEVELS:
            dealt = [deal(cards, level, generator) for _ in range(rounds)]
            for name, player in players.items():
                taken[name][level].append(Counter(d.kinds[player(d)] for d in dealt))
    return taken


def share(taken: Mapping[str, Sequence[Counter]], kind: str = SAME) -> np.ndarray:
    """One player's share of rounds in which cards of `kind` were taken, (levels, seeds)."""
    return np.array([[count[kind] / count.total() for count in counts] for counts in taken.values()])


SCORE_COLUMNS = ("player", *KINDS)


def score_rows(
    taken: Mapping[str, Mapping[str, Sequence[Counter]]], levels: Sequence[str] | None = None
) -> list[list[str]]:
    """What each player took, in percent of the rounds at `levels` (all by default): rows for `SCORE_COLUMNS`."""
    rows = []
    for player, by_level in taken.items():
        counts = (c for level, of_level in by_level.items() if levels is None or level in levels for c in of_level)
        count = sum(counts, Counter())
        if count.total():
            rows.append([player, *(f"{100 * count[kind] / count.total():.0f}%" for kind in KINDS)])
    return rows


ROUNDS = 10  # at every level


def card_game(cards: ImageSet, seed: int = 0, rounds: int = ROUNDS) -> None:
    """Deal `rounds` rounds at every level, let the simple players play them, and show the game; see lab_game.js.

    Args:
        cards: with labels; at least POOL cards of other classes for every card make the twins hard.

    Raises:
        ValueError: `rounds` is not a whole number of at least 1, or the cards have no labels.
    """
    whole("rounds", rounds, 1)
    if cards.labels is None:
        raise ValueError("cards must have labels, since the wrong cards of a round are of other classes")
    generator, players = Generator().manual_seed(seed), simple_players(seed)
    dealt = [deal(cards, level, generator) for level in LEVELS for _ in range(rounds)]
    views = torch.cat([torch.cat([each.anchor[None], each.candidates]) for each in dealt])
    played = [
        {
            "level": each.level,
            "kinds": list(each.kinds),
            "picks": {name: player(each) for name, player in players.items()},
        }
        for each in dealt
    ]
    display(page_lab(__file__, "lab_game", **sprite(views), levels=list(LEVELS), players=list(players), rounds=played))
