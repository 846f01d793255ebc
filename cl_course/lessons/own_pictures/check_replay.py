"""Lesson 09: the learner's `my_labels(journal)`: what a journal of labels and undos says at its end."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of

NAME = "my_labels"
Line = tuple[str, str, str]  # action, picture, class


def journal(seed: int, length: int = 24) -> tuple[Line, ...]:
    """Random labels of few pictures, with undos that never go back before the beginning."""
    draw, lines, standing = np.random.default_rng(seed), [], []
    while len(lines) < length:
        if standing and draw.random() < 0.35:
            _, picture, label = standing.pop()
            lines.append(("undo", picture, label))
        else:
            lines.append(("label", f"{'abcde'[draw.integers(5)]}.png", f"{('cat', 'dog', 'owl')[draw.integers(3)]}"))
            standing.append(lines[-1])
    return tuple(lines)


JOURNALS = tuple(journal(seed) for seed in (1, 2, 3))


# The right way, in parts that can each be done in a wrong way.
def last_goes(standing: list[Line], line: Line) -> list[Line]:
    return standing[:-1]


def later_wins(standing: Sequence[Line]) -> dict[str, str]:
    return {picture: label for _, picture, label in standing}


def as_it_is(found: dict) -> dict:
    return found


def make(
    undo: Callable = last_goes, collected: Callable = later_wins, result: Callable = as_it_is
) -> Callable[[Sequence[Line]], dict[str, str]]:
    def replay(lines: Sequence[Line]) -> dict[str, str]:
        standing: list[Line] = []
        for line in lines:
            standing = undo(standing, line) if line[0] == "undo" else [*standing, line]
        return result(collected(standing))

    return replay


right = make()


def first_wins(standing: Sequence[Line]) -> dict[str, str]:
    return {picture: label for _, picture, label in reversed(standing)}


def all_of_the_picture(standing: list[Line], line: Line) -> list[Line]:
    return [one for one in standing if one[1] != line[1]]


MISTAKES = (
    Mistake("undo has no effect: it takes back the last label that still stands.", {"undo": lambda kept, _: kept}),
    Mistake(
        "an undo takes away *all* labels of its picture. An earlier label of the same picture must come back.",
        {"undo": all_of_the_picture},
    ),
    Mistake("an undo takes the *first* label away: the last one that still stands goes.", {"undo": lambda k, _: k[1:]}),
    Mistake("an undo takes all labels away: it takes back one.", {"undo": lambda kept, _: []}),
    Mistake("an undo takes two labels back: it takes back one.", {"undo": lambda kept, _: kept[:-2]}),
    Mistake("of two labels of one picture the first one wins: the later one counts.", {"collected": first_wins}),
    Mistake("picture and class have changed places: the picture is the key.",
            {"collected": lambda kept: {label: picture for _, picture, label in kept}}),
    Mistake("the lines that stand came back as a list: return a dict, picture -> class.", {"collected": list}),
    Mistake("only the pictures came back: return a dict, picture -> class.", {"result": list}),
    Mistake("how many labels stand came back: return a dict, picture -> class.", {"result": len}),
)  # fmt: skip


def answer_to(attempt: Callable, lines: Sequence[Line]) -> object:
    given = list(lines)
    found = call(lambda: attempt(given))
    if given != list(lines):
        raise Fault(
            "you changed the journal that you were given; nothing in it is ever taken away. Work on a new list."
        )
    if isinstance(found, Mapping):
        return [f"{picture}: {label}" for picture, label in sorted(found.items(), key=str)]
    return f"{kind_of(found)}: {found!r}"[:2000]


def observe(attempt: Callable) -> list:
    return [answer_to(attempt, lines) for lines in JOURNALS]


def too_many_undos(attempt: Callable) -> str | None:
    lines = [("label", "a.png", "cat"), ("undo", "a.png", "cat"), ("undo", "a.png", "cat"), ("label", "b.png", "dog")]
    try:
        mine = answer_to(attempt, lines)
    except IndexError:
        mine = "an IndexError"
    if mine == ["b.png: dog"]:
        return None
    return f"right, but where nothing is left to take back, an undo does nothing: expected b.png: dog, got {mine}."


# Wrong, and no known mistake.
def is_a_dict(attempt: Callable) -> str | None:
    mine = answer_to(attempt, JOURNALS[0])
    return None if isinstance(mine, list) else f"a dict is expected, picture -> class; {mine[:80]} came back."


def small_examples(attempt: Callable) -> str | None:
    a, b = ("label", "a.png", "cat"), ("label", "b.png", "dog")
    again = ("label", "a.png", "owl")
    for lines, told in (
        ([a, b], "two labels"),
        ([a, again], "a picture labelled twice"),
        ([a, b, ("undo", "b.png", "dog")], "two labels and an undo"),
        ([a, again, ("undo", "a.png", "owl")], "a picture labelled cat, then owl, then an undo"),
        ([a, b, again, ("undo", "a.png", "owl"), ("undo", "b.png", "dog")], "three labels and two undos"),
        ([a, ("undo", "a.png", "cat"), a], "a label, its undo, and the same label again"),
        ([a, again, a, ("undo", "a.png", "cat")], "a picture labelled cat, then owl, then cat, then an undo"),
        ([], "an empty journal"),
    ):
        mine, expected = answer_to(attempt, lines), answer_to(right, lines)
        if mine != expected:
            said = ", ".join(mine) if isinstance(mine, list) else mine
            return f"for {told}, your answer is {said or 'empty'}, expected {', '.join(expected) or 'an empty dict'}."
    return None


replay = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="what stands at the end of the journal: each undo takes back one label, and later labels win.",
    demands=(too_many_undos,),
    ladder=(is_a_dict, small_examples),
)
