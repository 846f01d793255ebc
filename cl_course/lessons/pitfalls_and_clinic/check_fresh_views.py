"""Lesson 07, patient B: the learner's `my_views(images, make_view)`, two views of every image, each drawn anew.

`make_view` adds noise and keeps a log, so that every row that comes back can be traced: of which image it is a view,
how often it was disguised, and whether two rows are one and the same drawing. Calls may come in any order and number.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, NotAttempted, kind_of

NAME = "my_views"
SIZES = (4, 3)
CHANGED = ("changed", -1)


class Camera:
    """`make_view`: images (n, 3, h, w), or one, with noise that is new at every call."""

    def __init__(self, images: Tensor):
        self.images, self.log = images, []  # rows that were drawn: (pixels, image, times disguised, made of)

    def __call__(self, images: Tensor) -> Tensor:
        drawn = images + torch.rand(images.shape)
        rows = [(images, drawn)] if images.ndim == 3 else zip(images, drawn)
        for source, row in rows:
            image, depth = self.trace(source)
            self.log.append((row.detach().clone(), image, depth + 1, source.detach().clone()))
        return drawn

    def trace(self, row: Tensor) -> tuple[int | str, int]:
        """(the image, how often it was disguised); CHANGED where the row is neither an image nor a drawn view."""
        for index, image in enumerate(self.images):
            if _alike(row, image):
                return index, 0
        for pixels, image, depth, _ in self.log:
            if _alike(row, pixels):
                return image, depth
        return CHANGED

    def is_view_of(self, row: Tensor, other: Tensor) -> bool:
        return any(_alike(row, pixels) and _alike(other, source) for pixels, *_, source in self.log)


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a.detach().float(), b.float(), atol=1e-6)


# The right way, in parts that can each be done in a wrong way.
def make(
    view1: Callable = lambda images, make_view: make_view(images),
    view2: Callable = lambda images, make_view, view1: make_view(images),
    answer: Callable = lambda view1, view2: (view1, view2),
) -> Callable:
    def attempt(images: Tensor, make_view: Callable) -> Any:
        first = view1(images, make_view)
        return answer(first, view2(images, make_view, first))

    return attempt


def _unpacked(images: Tensor, make_view: Callable) -> Tensor:
    view1, _view2 = make_view(images)
    return view1


_PAIR = "Return two: view1, view2."
MISTAKES = (
    Mistake(
        "view2 is still view1: whatever tells two pictures apart, down to a single pixel, solves the task. Call "
        "make_view a second time.",
        {"view2": lambda images, make_view, view1: view1},
    ),
    Mistake(
        "view2 is the image itself: one disguise is to be seen through, not two. Call make_view for both.",
        {"view2": lambda images, make_view, view1: images},
    ),
    Mistake(
        "view1 is the image itself: one disguise is to be seen through, not two. Call make_view for both.",
        {"view1": lambda images, make_view: images},
    ),
    Mistake(
        "view2 is a view of view1: it has view1's disguise under its own, so this need not be seen through. Make both "
        "from images.",
        {"view2": lambda images, make_view, view1: make_view(view1)},
    ),
    Mistake(
        "make_view is called twice on top of itself for view1. Once is enough: make_view(images).",
        {"view1": lambda images, make_view: make_view(make_view(images))},
    ),
    Mistake(
        "neither is disguised: call make_view for both.",
        {"view1": lambda images, make_view: images, "view2": lambda images, make_view, view1: images},
    ),
    Mistake(
        "`view1, view2 = make_view(images)` takes the n rows of one view apart. make_view gives one view of every "
        "image: call it twice.",
        {"view1": _unpacked},
    ),
    Mistake(f"one view came back. {_PAIR}", {"answer": lambda view1, view2: view1}),
    Mistake(
        f"both views came back joined to one tensor of 2n rows. {_PAIR}",
        {"answer": lambda view1, view2: torch.cat([view1, view2])},
    ),
)


def returned(attempt: Callable, n: int) -> tuple[Camera, Any]:
    images = torch.rand(n, 3, 2, 2, generator=Generator().manual_seed(9))
    camera, before = Camera(images), images.clone()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(n)
        answer = attempt(images, camera)
    if answer is None or answer is ...:
        raise NotAttempted
    if not torch.equal(images, before):
        raise Fault("you changed `images` in place: the caller's pictures are altered. Make new ones.")
    return camera, answer


def history(attempt: Callable, n: int) -> list | str:
    """For each row of both views (image, times disguised); then in which rows both views are one drawing, in which
    view2 is a view of view1, and in which view1 of view2."""
    camera, answer = returned(attempt, n)
    if isinstance(answer, Tensor) and answer.ndim == 4:
        return f"one tensor of {len(answer)} rows" if len(answer) != n else "one view"
    views = list(answer) if isinstance(answer, tuple | list | Tensor) else [answer]
    if len(views) != 2:
        return f"{len(views)} things" if len(views) != 1 else kind_of(answer)
    rows = [_rows(view) for view in views]
    if not all(rows):
        return f"{type(views[0]).__name__} and {type(views[1]).__name__}"
    traces = [[list(map(str, camera.trace(row))) for row in view] for view in rows]
    pairs = list(enumerate(zip(*rows)))
    same = [str(i) for i, (a, b) in pairs if _alike(a, b)]
    second_of_first = [str(i) for i, (a, b) in pairs if camera.is_view_of(b, a)]
    first_of_second = [str(i) for i, (a, b) in pairs if camera.is_view_of(a, b)]
    return [traces, same, second_of_first, first_of_second]


def _rows(view: Any) -> list[Tensor]:
    """The pictures of a view; none where it is no batch of pictures."""
    if isinstance(view, list | tuple) and view and all(isinstance(row, Tensor) for row in view):
        return list(view)
    return list(view) if isinstance(view, Tensor) and view.ndim == 4 else []


def observe(attempt: Callable) -> list:
    return [history(attempt, n) for n in SIZES]


# Wrong, and no known mistake.
def form(attempt: Callable) -> str | None:
    seen = history(attempt, SIZES[0])
    if isinstance(seen, str):
        return f"{seen} came back for {SIZES[0]} images, and two batches of {SIZES[0]} views are asked for. {_PAIR}"
    counts = [len(view) for view in seen[0]]
    if counts == [SIZES[0]] * 2:
        return None
    return f"for {SIZES[0]} images your views have {counts[0]} and {counts[1]} rows; both must have {SIZES[0]}."


def rows_by_name(attempt: Callable) -> str | None:
    """The first row that is not a fresh view of its own image."""
    traces, same, *_ = history(attempt, SIZES[0])
    for name, view in zip(("view1", "view2"), traces):
        for row, (image, depth) in enumerate(view):
            if image == CHANGED[0]:
                return (
                    f"row {row} of {name} is neither an image nor what make_view gave for one: it was changed "
                    "afterwards, or before. Return what make_view(images) gives, as it is."
                )
            if image != str(row):
                return f"row {row} of {name} is made of image {image}. Row i of both views must be of image i."
            if depth != "1":
                return f"row {row} of {name} went through make_view {depth} times. It must be once, from the image."
    if same:
        rows = ", ".join(same)
        return f"the two views are one and the same drawing in row {rows}. Each view needs a drawing of its own."
    return None


def sizes(attempt: Callable) -> str | None:
    right = make()
    good = [n for n in (2, 3, 4, 5) if history(attempt, n) == history(right, n)]
    return f"right for {', '.join(map(str, good))} images, and wrong for other numbers." if good else None


fresh_views = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="two views of every image, each drawn for itself.",
    ladder=(form, rows_by_name, sizes),
)
