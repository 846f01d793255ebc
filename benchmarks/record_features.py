"""Records what lies in the features of three encoders, three seeds each: lesson 06.

Retrieval, factors, and numbers that need no label.

    python benchmarks/record_features.py

Nothing is chosen. Queries are the test images of shapes, the gallery its training images.
"""

from itertools import product

from record_few_labels import SEEDS, images_of, make_missing
from runs import FACTORS, kept_encoder, record_all
from torch import Generator

from cl_course.augment import AugmentConfig, two_views
from cl_course.data import ImageSet, to_float
from cl_course.diagnose import effective_rank
from cl_course.evaluate import embed, factor_probe, mean_average_precision, precision_at_k
from cl_course.losses import alignment, uniformity
from cl_course.models import ResNet
from cl_course.running import records

ROWS = ("random encoder", "SimCLR", "supervised")
NEAREST = 10
VIEWED = 1000  # test images of which two views are compared


def run(row: str, seed: int) -> dict:
    train, test = images_of("shapes", "train"), images_of("shapes", "test")
    encoder = kept_encoder(row, "shapes", seed)
    gallery_h, h = embed(encoder, train), embed(encoder, test)
    of_train, of_test = ({name: images.factors[name] for name in FACTORS} for images in (train, test))
    measured = {
        f"precision at {NEAREST}": precision_at_k(h, test.labels, gallery_h, train.labels, NEAREST),
        "mAP": mean_average_precision(h, test.labels, gallery_h, train.labels),
        **without_labels(encoder, test, seed),
        **factor_probe(gallery_h, of_train, h, of_test),
    }
    return {"row": row, "seed": seed} | {name: round(value, 4) for name, value in measured.items()}


def without_labels(encoder: ResNet, test: ImageSet, seed: int) -> dict[str, float]:
    """Of h: alignment and uniformity of two views (the recipe's), and the effective rank of the images as they are."""
    views = two_views(to_float(test.images[:VIEWED]), AugmentConfig(), Generator().manual_seed(seed))
    h1, h2 = (embed(encoder, ImageSet((255 * view).round().byte())) for view in views)
    return {
        "alignment": alignment(h1, h2).item(),
        "uniformity": uniformity(h1).item(),
        "effective rank": effective_rank(embed(encoder, test)),
    }


if __name__ == "__main__":
    spent = make_missing([(row, "shapes") for row in ROWS])
    runs, minutes = record_all("features", run, [{"row": row, "seed": seed} for row, seed in product(ROWS, SEEDS)])
    records.write(
        "features",
        room="lessons/what_did_it_learn",
        script="benchmarks/record_features.py",
        about=(
            "Features h of test images of shapes: retrieval, alignment, uniformity, "
            "effective rank, and R^2 of a linear read-out of each factor."
        ),
        config={"nearest": NEAREST, "viewed": VIEWED},
        runs=runs,
        minutes=spent + minutes,
    )
