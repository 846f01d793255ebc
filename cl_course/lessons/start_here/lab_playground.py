"""Playground: a small network that learns by comparing, in the page itself.

The lab is `lab_playground.js`; what it computes lies in `playground/`, one module for each part of the package that it
mirrors: losses, methods, measures.
"""

from IPython.display import display

from cl_course.lessons.shared.lab_page import page_lab
from cl_course.values import whole

POSED = 600  # steps after which the picture of the lab is taken
LARGEST = 2**32 - 1  # of the seeds: the page counts in 32 bits


def playground(seed: int = 0) -> None:
    """Choose a method and its settings, press train, and watch what the network makes of small drawings.

    Args:
        seed: 0 to 2^32 - 1, of the drawings, the first weights and the batches.

    Raises:
        ValueError: the seed is out of range.
    """
    whole("seed", seed, 0, LARGEST)
    display(page_lab(__file__, "lab_playground", seed=seed, posed=POSED))
