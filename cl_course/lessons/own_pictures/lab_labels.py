"""Label lab: one picture at a time, a key for each class; every label is on disk before the page says that it is saved.

The page shows and asks (lab_labels.js). The kernel writes each label into the journal of `cl_course.labels` and
answers with what stands there. Labels that no kernel has confirmed stay in the browser and are sent again.
"""

import os
from hashlib import md5
from typing import Any

from IPython.display import display
from torch import Tensor

from cl_course.data import ImageSet, to_float
from cl_course.labels import Labels
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import channels_last, data_uri
from cl_course.values import whole

MOST = 120  # pictures that go into the page; run the cell again for the next ones
BACK = 10  # labels of an earlier time that can be taken back


def label_lab(labels: Labels, images: ImageSet, order: Tensor, goal: int = 10) -> None:
    """Show the pictures that have no label yet, in this order; labels go into `labels`, one by one.

    Args:
        labels: open; the widget goes on where they end.
        images: with names.
        order: positions of all images, the first to be labelled at the front.
        goal: labels wanted for each class.

    Raises:
        ValueError: the images have no names, or the goal is below 1.
    """
    desk = Desk(labels, images)
    data = desk.data(order, whole("goal", goal, 1))
    display(page_lab(__file__, "lab_labels", answer=desk.answer, **data))


class Desk:
    """The kernel's side: what the page is given, and what it is answered."""

    def __init__(self, labels: Labels, images: ImageSet):
        if not images.names:
            raise ValueError("labels are kept by the pictures' names, and these have none; give ImageSet(names=...)")
        self._labels, self._images = labels, images
        self._places = {name: place for place, name in enumerate(images.names)}
        self._seen: set[str] = set()  # ids of what was done, since the page may send it twice

    def data(self, order: Tensor, goal: int) -> dict[str, Any]:
        """What the page needs: pictures without a label, and the last ones that have one, for undo."""
        given, recent = self._labels.given, list(dict.fromkeys(name for name, _ in self._recent()))
        waiting = [i for i in order.tolist() if self._images.names[i] not in given][:MOST]
        shown = [self._places[name] for name in recent] + waiting
        return {
            "pictures": [{"name": self._images.names[i], "src": self._picture(i)} for i in shown],
            "classes": list(self._labels.classes),
            "goal": goal,
            "file": md5(os.fsencode(self._labels.path.resolve()), usedforsecurity=False).hexdigest(),
            "state": self._state(),
        }

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Do what the page asks for, in order, as far as the disk takes it.

        Args:
            asked: {"actions": [{"id", "kind": "label", "skip" or "undo", "name", "label"}, ...]}.

        Returns:
            {"done": the ids that are on disk, "failed": a sentence, or "", "state": what stands in the file}.
        """
        done, failed = [], ""
        for action in asked.get("actions", []):
            if action["id"] not in self._seen:
                try:
                    self._do(**action)
                except (OSError, ValueError) as problem:
                    failed = str(problem)
                    break
                self._seen.add(action["id"])
            done.append(action["id"])
        return {"done": done, "failed": failed, "state": self._state()}

    def _do(self, id: str, kind: str, name: str, label: str = "") -> None:
        """One action. The page may send it to a second kernel because the first died before it could answer."""
        labels, last = self._labels, self._labels.last
        if name not in self._places:
            return
        if kind == "undo":
            if last is not None and (last.picture, last.label) == (name, label):
                labels.undo()
        elif labels.given.get(name) != label:  # "" where it was skipped
            labels.skip(name) if kind == "skip" else labels.give(name, label)

    def _state(self) -> dict[str, Any]:
        given = self._labels.given
        return {"saved": sum(map(bool, given.values())), "counts": self._labels.counts, "recent": self._recent(),
                "given": list(given)}  # fmt: skip

    def _recent(self) -> list[tuple[str, str]]:
        """The last labels and skips that stand: (picture, class or ""), the last one at the end."""
        return [pair for pair in self._labels.given.items() if pair[0] in self._places][-BACK:]

    def _picture(self, place: int) -> str:
        return data_uri(channels_last(to_float(self._images.images[place])), photo=True)
