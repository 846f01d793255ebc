"""One example of every lab in the page: the widget that its lesson shows, on few cards."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from lab_pages import shown_by

from cl_course.captions import captions as captions_of
from cl_course.clip import CLIP, TextEncoder
from cl_course.data import ImageSet, load, to_float
from cl_course.evaluate import embed
from cl_course.labels import Labels
from cl_course.lessons.byol import lab_collapse
from cl_course.lessons.family import lab_targets
from cl_course.lessons.full_scale import lab_plan
from cl_course.lessons.infonce import lab_temperature
from cl_course.lessons.moco import lab_queue
from cl_course.lessons.own_pictures import lab_labels, lab_map
from cl_course.lessons.pitfalls_and_clinic import lab_clinic
from cl_course.lessons.shared import lab_circle
from cl_course.lessons.simclr import lab_ablation, lab_neighbours
from cl_course.lessons.start_here import lab_game, lab_playground
from cl_course.lessons.two_languages import lab_captions
from cl_course.lessons.two_views import lab_augmentation
from cl_course.lessons.two_views.lab_augmentation import LARGE, photos
from cl_course.lessons.what_did_it_learn import lab_retrieval
from cl_course.lessons.where_is_it import lab_boxes
from cl_course.models import small_resnet
from cl_course.running import checkpoints, records

HELD = {"temperature": 0.3, "augment": "+ jitter + grey", "batch_size": 128}  # the ablation's setting at first
ABLATION = records.read("ablation")["runs"]
KNOWN = (tuple(HELD.values()),)
CLINIC = records.read("clinic")["runs"]


def circle(**settings):
    return shown_by(lab_circle, lab_circle.circle_lab, **settings)


def temperature(**settings):
    return shown_by(lab_temperature, lab_temperature.temperature_lab, **settings)


def queue(**settings):
    return shown_by(lab_queue, lab_queue.queue_lab, **settings)


def collapse():
    return shown_by(lab_collapse, lab_collapse.collapse_lab)


def ablation(runs=ABLATION, revealed=KNOWN, start=HELD):
    return shown_by(lab_ablation, lab_ablation.ablation_lab, runs=runs, start=start, revealed=revealed)


def clinic(patient="all"):
    return shown_by(lab_clinic, lab_clinic.clinic_lab, runs=CLINIC, patient=patient)


@cache
def queries():
    return load("shapes", "val", limit=200)


@cache
def searched() -> dict:
    """What the labs of neighbours search in."""
    gallery = load("shapes", "train", limit=600)
    encoders = {name: checkpoints.shipped(f"{name}_shapes")[0] for name in ("random", "simclr")}
    features = {name: (embed(encoder, gallery), embed(encoder, queries())) for name, encoder in encoders.items()}
    return {"gallery": gallery, "queries": queries(), "features": features}


@cache
def neighbours():
    return shown_by(lab_neighbours, lab_neighbours.neighbours_lab, **searched())


@cache
def retrieval():
    return shown_by(lab_retrieval, lab_retrieval.retrieval_lab, **searched())


@cache
def game():
    return shown_by(lab_game, lab_game.card_game, cards=queries(), seed=0, rounds=2)


@cache
def cards() -> torch.Tensor:
    return to_float(load("shapes", "val", limit=80).images)


@cache
def augmentation():
    pictures = {"flower": photos(LARGE)["flower"], "card": cards()[4]}
    return shown_by(lab_augmentation, lab_augmentation.augmentation_lab, pictures=pictures, cards=cards(), seed=3)


def playground():
    return shown_by(lab_playground, lab_playground.playground)


def targets(**settings):
    return shown_by(lab_targets, lab_targets.target_lab, **settings)


@cache
def captions():
    torch.manual_seed(0)
    method = CLIP(small_resnet(width=4), TextEncoder()).eval()
    cards = load("shapes", "val", limit=60)
    return shown_by(lab_captions, lab_captions.caption_lab, method=method, images=cards, texts=captions_of(cards))


def planner(**config):
    record = records.read("full_scale")
    record["config"] |= config
    return shown_by(lab_plan, lab_plan.plan_lab, record=record)


@cache
def named():
    cards = load("shapes", "val", limit=60)
    return ImageSet(cards.images, cards.labels, cards.class_names, names=tuple(f"IMG_{i:04d}.png" for i in range(60)))


def labels(path=None, classes=("disc", "square", "another")):
    """With a file of its own, of which the page sees the name alone."""
    opened = Labels(path or Path(mkdtemp()) / "cards-labels.csv", classes, "cards")
    return shown_by(lab_labels, lab_labels.label_lab, labels=opened, images=named(), order=torch.arange(60))


@cache
def map_of_cards():
    h = embed(checkpoints.shipped("simclr_shapes")[0], named())
    return shown_by(lab_map, lab_map.map_lab, images=named(), h=h)


@cache
def boxes():
    runs = records.read("found_boxes")["runs"]
    return shown_by(lab_boxes, lab_boxes.box_lab, images=load("scenes", "val", limit=24), runs=runs)


EXAMPLES = {
    "playground": playground,
    "circle": circle,
    "temperature": temperature,
    "queue": queue,
    "collapse": collapse,
    "ablation": ablation,
    "clinic": clinic,
    "patient": lambda: clinic("C"),
    "neighbours": neighbours,
    "retrieval": retrieval,
    "game": game,
    "augmentation": augmentation,
    "captions": captions,
    "planner": planner,
    "labels": labels,
    "map": map_of_cards,
    "boxes": boxes,
    "targets": targets,
}
