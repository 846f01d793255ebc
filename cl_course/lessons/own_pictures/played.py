"""A played labeller, for data whose classes are known: so that the lesson goes on before a learner has labelled."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from cl_course.data import ImageSet
from cl_course.labels import Labels

LEAST = 5  # pictures of a class, so that some can train, some choose and some be judged


def enough(labels: Labels) -> bool:
    """Whether there are labels to go on with: at least LEAST of two classes or more, and none with fewer but some."""
    counts = [count for count in labels.counts.values() if count]
    return len(counts) > 1 and min(counts) >= LEAST


def played(truth: Mapping[str, str], classes: Sequence[str], images: ImageSet, order: Tensor, goal: int) -> Labels:
    """Labels by someone who knows the right class, in a file of their own: nothing is put into the learner's.

    The first of the order are labelled, `goal` for each class on average, and then on until every class has LEAST.
    """
    path = Path(tempfile.mkdtemp(prefix="cl-course-")) / "played-labels.csv"
    labels = Labels(path, classes, "played")
    for turn, place in enumerate(order.tolist()):
        name = images.names[place]
        if turn >= goal * len(classes) and labels.counts[truth[name]] >= LEAST:
            continue
        labels.give(name, truth[name])
        if turn + 1 >= goal * len(classes) and min(labels.counts.values()) >= LEAST:
            break
    return labels
