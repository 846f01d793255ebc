"""One check for each exercise: `checks.nt_xent(my_nt_xent)` passes it or names the mistake."""

from cl_course.lessons.byol.check_byol_loss import byol_loss
from cl_course.lessons.byol.check_byol_step import byol_step
from cl_course.lessons.infonce.check_nt_xent import nt_xent
from cl_course.lessons.moco.check_ema_update import ema_update
from cl_course.lessons.moco.check_half_way import half_way
from cl_course.lessons.moco.check_moco_loss import moco_loss
from cl_course.lessons.moco.check_places import queue_places
from cl_course.lessons.moco.check_queue_step import queue_step
from cl_course.lessons.pitfalls_and_clinic.check_clinic import copies_ward, diagnosis, simclr_ward
from cl_course.lessons.simclr.check_training_step import training_step
from cl_course.lessons.two_views.check_choose_augmentation import choose_augmentation
from cl_course.lessons.two_views.check_two_views import random_flip, two_views
from cl_course.lessons.what_did_it_learn.check_fair_table import fair_table
from cl_course.lessons.what_did_it_learn.check_knn import knn

__all__ = [
    "byol_loss",
    "byol_step",
    "choose_augmentation",
    "copies_ward",
    "diagnosis",
    "ema_update",
    "fair_table",
    "half_way",
    "knn",
    "moco_loss",
    "nt_xent",
    "queue_places",
    "queue_step",
    "random_flip",
    "simclr_ward",
    "training_step",
    "two_views",
]
