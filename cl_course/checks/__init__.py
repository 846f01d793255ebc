"""One check for each exercise: `checks.nt_xent(my_nt_xent)` passes it or names the mistake."""

from cl_course.checks.byol_loss import byol_loss as byol_loss
from cl_course.checks.byol_step import byol_step as byol_step
from cl_course.checks.choose_augmentation import choose_augmentation as choose_augmentation
from cl_course.checks.clinic import copies_ward as copies_ward
from cl_course.checks.clinic import diagnosis as diagnosis
from cl_course.checks.clinic import simclr_ward as simclr_ward
from cl_course.checks.ema_update import ema_update as ema_update
from cl_course.checks.fair_table import fair_table as fair_table
from cl_course.checks.knn import knn as knn
from cl_course.checks.nt_xent import nt_xent as nt_xent
from cl_course.checks.queue_step import queue_step as queue_step
from cl_course.checks.training_step import training_step as training_step
from cl_course.checks.two_views import random_flip as random_flip
from cl_course.checks.two_views import two_views as two_views
