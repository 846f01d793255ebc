"""Box lab: what detectors found in some scenes, and how the two thresholds decide what counts as found and as right."""

from collections.abc import Sequence
from typing import Any

from IPython.display import display

from cl_course.data import ImageSet, to_float
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import channels_last, data_uri
from cl_course.values import real


def box_lab(images: ImageSet, runs: Sequence[dict[str, Any]], score: float = 0.3, overlap: float = 0.5) -> None:
    """A scene with its boxes, beside precision against recall of all scenes; the page computes, see lab_boxes.js.

    Args:
        images: scenes with their objects.
        runs: of the record `found_boxes`: each has a "detector" and its "scenes", lists of "x1 y1 x2 y2 score class".
        score: boxes below it are not shown at first, in [0, 1].
        overlap: the IoU from which a box is right at first, in [0.5, 0.95].

    Raises:
        ValueError: a run has another number of scenes than there are images; a setting outside its range.
    """
    real("score", score, least=0, most=1)
    real("overlap", overlap, least=0.5, most=0.95)
    for run in runs:
        if len(run["scenes"]) != len(images.objects):
            given = f"{run['detector']!r} has boxes of {len(run['scenes'])} scenes, and there are {len(images.objects)}"
            raise ValueError(f"{given} images with objects; load as many scenes as the record has")
    truth = [[[*box, label] for box, label in zip(one.boxes.tolist(), one.labels.tolist())] for one in images.objects]
    pictures = [data_uri(picture, photo=True) for picture in channels_last(to_float(images.images))]
    display(
        page_lab(
            __file__,
            "lab_boxes",
            size=images.images.shape[-1],
            classes=list(images.class_names),
            pictures=pictures,
            truth=truth,
            detectors=[{"name": run["detector"], "found": [read(lines) for lines in run["scenes"]]} for run in runs],
            score=score,
            overlap=overlap,
        )
    )


def read(lines: Sequence[str]) -> list[list[float]]:
    """The boxes of one scene: each x1, y1, x2, y2, score, class."""
    return [[float(number) for number in line.split()] for line in lines]
