"""One check for each exercise: `checks.nt_xent(my_nt_xent)` passes it or names the mistake."""

from cl_course.checks.choose_augmentation import choose_augmentation as choose_augmentation
from cl_course.checks.nt_xent import nt_xent as nt_xent
from cl_course.checks.training_step import training_step as training_step
from cl_course.checks.two_views import random_flip as random_flip
from cl_course.checks.two_views import two_views as two_views
