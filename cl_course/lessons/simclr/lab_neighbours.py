"""Neighbours lab: choose any card, and see what each description of cards holds for the nearest."""

from IPython.display import display

from cl_course.data import ImageSet
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.neighbour_cards import Features, neighbour_cards


def neighbours_lab(gallery: ImageSet, queries: ImageSet, features: Features, k: int = 6) -> None:
    """A sheet of cards, and the k nearest of the one chosen; the page searches, see shared/js/neighbours.js.

    Arguments and errors as of `neighbour_cards`, which says how many of the cards go into the page.
    """
    data, _ = neighbour_cards(gallery, queries, features, k)
    display(page_lab(__file__, "lab_neighbours", **data))
