"""One check for each exercise: `checks.nt_xent(my_nt_xent)` passes it or names the mistake."""

from cl_course.lessons.byol.check_byol_gradients import byol_gradients
from cl_course.lessons.byol.check_byol_loss import byol_loss
from cl_course.lessons.byol.check_byol_step import byol_step
from cl_course.lessons.byol.check_effective_rank import effective_rank
from cl_course.lessons.byol.check_rising_momentum import rising_momentum
from cl_course.lessons.family.check_barlow_loss import barlow_loss
from cl_course.lessons.family.check_dino_step import dino_step
from cl_course.lessons.family.check_simsiam_loss import simsiam_loss
from cl_course.lessons.family.check_supcon_loss import supcon_loss
from cl_course.lessons.family.check_vicreg_terms import vicreg_terms
from cl_course.lessons.full_scale.check_gather_backward import gather_backward
from cl_course.lessons.full_scale.check_kept import kept
from cl_course.lessons.full_scale.check_reported_accuracy import reported_accuracy
from cl_course.lessons.full_scale.check_run_numbers import run_numbers
from cl_course.lessons.full_scale.check_scaled_rate import scaled_rate
from cl_course.lessons.infonce.check_gradient import gradient
from cl_course.lessons.infonce.check_log_sum_exp import log_sum_exp
from cl_course.lessons.infonce.check_nt_xent import nt_xent
from cl_course.lessons.infonce.check_partners import partners
from cl_course.lessons.infonce.check_row_loss import row_loss
from cl_course.lessons.infonce.check_similarities import similarities
from cl_course.lessons.moco.check_ema_update import ema_update
from cl_course.lessons.moco.check_half_way import half_way
from cl_course.lessons.moco.check_moco_loss import moco_loss
from cl_course.lessons.moco.check_places import queue_places
from cl_course.lessons.moco.check_queue_step import queue_step
from cl_course.lessons.own_pictures.check_copies import copies
from cl_course.lessons.own_pictures.check_first_to_label import first_to_label
from cl_course.lessons.own_pictures.check_interval import interval
from cl_course.lessons.own_pictures.check_replay import replay
from cl_course.lessons.pitfalls_and_clinic.check_after_step import after_step
from cl_course.lessons.pitfalls_and_clinic.check_diagnosis import diagnosis
from cl_course.lessons.pitfalls_and_clinic.check_fresh_views import fresh_views
from cl_course.lessons.pitfalls_and_clinic.check_optimizer import optimizer
from cl_course.lessons.pitfalls_and_clinic.check_unit_length import unit_length
from cl_course.lessons.simclr.check_features import features
from cl_course.lessons.simclr.check_learning_rate import learning_rate
from cl_course.lessons.simclr.check_neighbours import neighbours_agree
from cl_course.lessons.simclr.check_spread import spread
from cl_course.lessons.simclr.check_training_step import training_step
from cl_course.lessons.start_here.check_pick import counts, pick
from cl_course.lessons.two_languages.check_clip_loss import clip_loss
from cl_course.lessons.two_languages.check_recall import recall
from cl_course.lessons.two_languages.check_siglip_loss import siglip_loss
from cl_course.lessons.two_languages.check_without_gap import without_gap
from cl_course.lessons.two_languages.check_zero_shot import zero_shot
from cl_course.lessons.two_views.check_blend import blend
from cl_course.lessons.two_views.check_choose_augmentation import choose_augmentation
from cl_course.lessons.two_views.check_flip import random_flip
from cl_course.lessons.two_views.check_shortcut_rate import shortcut_rate
from cl_course.lessons.two_views.check_two_views import two_views
from cl_course.lessons.what_did_it_learn.check_average_precision import average_precision
from cl_course.lessons.what_did_it_learn.check_fair_table import fair_table
from cl_course.lessons.what_did_it_learn.check_iou import iou
from cl_course.lessons.what_did_it_learn.check_knn import knn
from cl_course.lessons.what_did_it_learn.check_standardised import standardised
from cl_course.lessons.where_is_it.check_box_iou import box_iou
from cl_course.lessons.where_is_it.check_centreness import centreness
from cl_course.lessons.where_is_it.check_detection_ap import detection_ap
from cl_course.lessons.where_is_it.check_nms import nms
from cl_course.lessons.where_is_it.check_receptive_field import receptive_field

__all__ = [
    "after_step",
    "average_precision",
    "barlow_loss",
    "blend",
    "box_iou",
    "byol_gradients",
    "byol_loss",
    "byol_step",
    "centreness",
    "choose_augmentation",
    "clip_loss",
    "copies",
    "counts",
    "detection_ap",
    "diagnosis",
    "dino_step",
    "effective_rank",
    "ema_update",
    "fair_table",
    "features",
    "first_to_label",
    "fresh_views",
    "gather_backward",
    "gradient",
    "half_way",
    "interval",
    "iou",
    "kept",
    "knn",
    "learning_rate",
    "log_sum_exp",
    "moco_loss",
    "neighbours_agree",
    "nms",
    "nt_xent",
    "optimizer",
    "partners",
    "pick",
    "queue_places",
    "queue_step",
    "random_flip",
    "recall",
    "receptive_field",
    "replay",
    "reported_accuracy",
    "rising_momentum",
    "row_loss",
    "run_numbers",
    "scaled_rate",
    "shortcut_rate",
    "siglip_loss",
    "similarities",
    "simsiam_loss",
    "spread",
    "standardised",
    "supcon_loss",
    "training_step",
    "two_views",
    "unit_length",
    "vicreg_terms",
    "without_gap",
    "zero_shot",
]
