"""Records CLIP and SigLIP on the drawn images and their captions, three seeds of each run: lesson 10.

    python benchmarks/record_captions.py

The runs differ in what captions name, in the loss, and in whether images are flipped. Nothing is chosen: all is
measured on the test images after the last epoch.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product

import torch
from runs import FACTORS as DRAWN
from runs import record_all, shapes

from cl_course.captions import FACTORS, captions, named_values
from cl_course.clip import CLIP, SigLIP, TextEncoder, modality_gap, recall_at_k, train_pairs, zero_shot
from cl_course.data import ImageSet
from cl_course.evaluate import embed, factor_probe, knn_accuracy
from cl_course.lessons.two_languages.recipe import CONFIG, FLIPPED, GALLERY, SHARE, prompts
from cl_course.models import small_resnet
from cl_course.running import records

SEEDS = (0, 1, 2)
# run -> the method, what captions name, how it is trained
RUNS = {
    "CLIP": (CLIP, FACTORS, CONFIG),
    "SigLIP": (SigLIP, FACTORS, CONFIG),
    "class alone": (CLIP, ("class",), CONFIG),
    "class and hue": (CLIP, ("class", "hue"), CONFIG),
    "all but the class": (CLIP, FACTORS[1:], CONFIG),
    "flipped": (CLIP, FACTORS, FLIPPED),
}


def run(name: str, seed: int) -> dict:
    kind, mention, config = RUNS[name]
    train, _, test = shapes()
    torch.manual_seed(seed)
    method = kind(small_resnet(), TextEncoder())
    before, start = gap(method, test, mention), time.process_time()
    rows = train_pairs(method, train, captions(train, mention, SHARE, seed), replace(config, seed=seed))
    seconds = time.process_time() - start  # of one core
    rows = [{key: round(value, 4) for key, value in row.items()} for row in rows]
    gaps = {"gap_before": before, "gap": gap(method, test, mention)}
    return (
        {"run": name, "seed": seed, "seconds": round(seconds, 1)}
        | gaps
        | judged(method, train, test, mention)
        | {"rows": rows}
    )


def gap(method: CLIP, test: ImageSet, mention: Sequence[str]) -> float:
    return round(modality_gap(method.embed_images(test), method.embed_texts(captions(test, mention, SHARE))), 4)


def judged(method: CLIP, train: ImageSet, test: ImageSet, mention: Sequence[str]) -> dict:
    """What words can ask for, and what h holds.

    Zero-shot accuracy of every factor that captions mention; recall both ways, where a caption says all of them; kNN of
    the class, and R^2 of the drawn factors.
    """
    z_image, right = method.embed_images(test), named_values(test)
    zero = {}
    for factor in mention:
        z_prompts = torch.stack([method.embed_texts(texts) for texts in prompts(factor, mention)])
        zero[factor] = round(float((zero_shot(z_image, z_prompts) == right[factor]).float().mean()), 4)
    of_images, of_texts = z_image[:GALLERY], method.embed_texts(captions(test, mention)[:GALLERY])
    recall = {
        f"{way}@{k}": round(recall_at_k(*pair, k), 4)
        for way, pair in {"text to image": (of_texts, of_images), "image to text": (of_images, of_texts)}.items()
        for k in (1, 10)
    }
    train_h, h = embed(method.encoder, train), embed(method.encoder, test)
    probes = factor_probe(train_h, {f: train.factors[f] for f in DRAWN}, h, {f: test.factors[f] for f in DRAWN})
    knn = knn_accuracy(train_h, train.labels, h, test.labels)
    return {
        "zero_shot": zero,
        "recall": recall,
        "knn": round(knn, 4),
        "probes": {f: round(r, 4) for f, r in probes.items()},
    }


if __name__ == "__main__":
    runs, minutes = record_all("captions", run, [{"name": name, "seed": seed} for name, seed in product(RUNS, SEEDS)])
    records.write(
        "captions",
        room="lessons/two_languages",
        script="benchmarks/record_captions.py",
        about=(
            "CLIP and SigLIP on shapes and captions of its factors: zero-shot accuracy of each factor, recall among "
            f"{GALLERY:,} test images, modality gap, kNN of h, and R^2 of a linear read-out of each factor from h."
        ),
        config={"share": SHARE, "gallery": GALLERY, "training": {**asdict(CONFIG), "augment": asdict(CONFIG.augment)}},
        runs=runs,
        minutes=minutes,
    )
