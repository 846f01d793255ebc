"""The card game of lesson 00: pick the card that shows the same object as the anchor.

The rounds are dealt like a hard batch of contrastive learning: every card, the anchor included, is a
disguised view, and among the wrong cards lie two chosen to fool a player who looks at one thing
alone. Simple players, who do just that, play the same rounds, so that a score can be read.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import ipywidgets as widgets
import numpy as np
import torch
import torch.nn.functional as F
from IPython.display import display
from matplotlib.figure import Figure
from torch import Generator, Tensor

from cl_course.augment import AugmentConfig, augment, greyscale, two_views
from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.cards import LETTERS, round_figure, rounds_figure
from cl_course.lessons.shared.lab_view import lab_view
from cl_course.lessons.shared.pictures import channels_last
from cl_course.lessons.shared.show import canvas, png
from cl_course.lessons.shared.tables import html_table
from cl_course.shortcut import colour_histogram, mean_colour, nearest, raw_pixels

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


def static_rounds(cards: ImageSet, players: Mapping[str, Player], seed: int = 0) -> Figure:
    """One round of every level, with what each player took."""
    generator = Generator().manual_seed(seed)
    shown = []
    for level in LEVELS:
        dealt = deal(cards, level, generator)
        picks = {name: player(dealt) for name, player in players.items()}
        shown.append(
            (
                level.replace(", ", ",\n"),
                channels_last(dealt.anchor),
                channels_last(dealt.candidates),
                dealt.positive,
                picks,
            )
        )
    return rounds_figure(shown)


class CardGame:
    """Ten rounds, two at every level, played with six buttons; `taken` is the score, as `tournament` counts it."""

    def __init__(self, cards: ImageSet, seed: int = 0, rounds_per_level: int = 2):
        generator = Generator().manual_seed(seed)
        self.rounds = [deal(cards, level, generator) for level in LEVELS for _ in range(rounds_per_level)]
        self.picks: list[int] = []
        self.picture = canvas(855)
        self.buttons = [
            widgets.Button(description=letter, tooltip=f"take card {letter}", layout=widgets.Layout(width="64px"))
            for letter in LETTERS
        ]
        for place, button in enumerate(self.buttons):
            button.on_click(lambda _, place=place: self.take(place))
        self.next = widgets.Button(description="Next round", button_style="primary", tooltip="deal the next round")
        self.next.on_click(lambda _: self._deal())
        self.words = widgets.HTML()
        self.view = lab_view("Card game", self.picture, widgets.HBox([*self.buttons, self.next]), self.words)
        self._deal()

    @property
    def taken(self) -> dict[str, list[Counter]]:
        """level -> what you took, as one count; empty counts where you have not played."""
        counts = {level: Counter() for level in LEVELS}
        for dealt, pick in zip(self.rounds, self.picks):
            counts[dealt.level][dealt.kinds[pick]] += 1
        return {level: [count] for level, count in counts.items()}

    def take(self, place: int) -> None:
        """Choose a candidate of the round on the table; the answer is shown."""
        dealt = self.rounds[len(self.picks)]
        self.picks.append(place)
        self._draw(dealt, len(self.picks), place)
        kind = dealt.kinds[place]
        found = sum(d.kinds[p] == SAME for d, p in zip(self.rounds, self.picks))
        verdict = (
            "Yes, the same card."
            if kind == SAME
            else f"No: that was the {kind}. The same card is {LETTERS[dealt.positive]}."
            if kind != OTHER
            else f"No. The same card is {LETTERS[dealt.positive]}."
        )
        over = len(self.picks) == len(self.rounds)
        self._say(
            f"{verdict} {found} of {len(self.picks)} found."
            + (
                html_table(score_rows({"you": self.taken}), SCORE_COLUMNS)
                + "Run the next cells to see how the others did."
                if over
                else ""
            )
        )
        self._playing(False, over)

    def _deal(self) -> None:
        dealt = self.rounds[len(self.picks)]
        self._draw(dealt, len(self.picks) + 1)
        self._say("Look at the framed card on the left. Which of A to F is the same card, in another disguise?")
        self._playing(True)

    def _draw(self, dealt: Round, number: int, picked: int | None = None) -> None:
        answer = {} if picked is None else {"kinds": dealt.kinds, "positive": dealt.positive, "picked": picked}
        title = f"round {number} of {len(self.rounds)}: {dealt.level}"
        self.picture.value = png(
            round_figure(channels_last(dealt.anchor), channels_last(dealt.candidates), title, **answer)
        )

    def _say(self, sentence: str) -> None:
        self.words.value = f'<div role="status">{sentence}</div>'

    def _playing(self, playing: bool, over: bool = False) -> None:
        # What can be pressed next comes first: the focus moves there when the pressed button is switched off.
        self.next.disabled = playing or over
        for button in self.buttons:
            button.disabled = not playing


def card_game(cards: ImageSet, seed: int = 0) -> CardGame:
    """Show the game under the cell; the score is in the game that comes back."""
    game = CardGame(cards, seed)
    display(game.view)
    return game
