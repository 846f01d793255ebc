"""What SimCLR at three temperatures makes of real views: the rows and curves of lesson 02.

    python benchmarks/record_similarity_rows.py

Trains SimCLR on the drawn shapes at each of TEMPERATURES with each of SEEDS, then embeds two views
of the first 512 validation images, in eval mode, and records

* `rows`, of the runs at T = 0.3: one view (the anchor) against the 31 other views of three
  batches of 16 images. The anchor is view 1 of the image whose partner similarity is the median of
  all. Its candidates, each image with both views:
      easy            the first 15 images of other classes;
      hard            the 15 images of other classes that are nearest to the anchor, by the nearer view;
      false negative  easy, with its first 3 images replaced by the first 3 of the anchor's own class.
* `sweep`, of the same runs: means over all anchors, in batches of 128 images, at
  temperatures from 0.01 to 2 that are applied *after* training: how many negatives count, and what
  share of the pull on negatives lands on images of the anchor's own class.
* for every run kNN accuracy on validation, alignment and uniformity at the end.

Labels choose the rows and judge; no training sees them.
"""

import hashlib
from dataclasses import asdict

import torch
import torch.nn.functional as F
from runs import record_all, simclr
from torch import Generator, Tensor

from cl_course.augment import two_views
from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.losses import alignment, chance_loss, nt_xent, uniformity
from cl_course.running import records
from cl_course.train import TrainConfig

CONFIG = TrainConfig(epochs=12)
TEMPERATURES, SEEDS = (0.05, 0.3, 1.0), (0, 1, 2)
SHOWN = 0.3  # the temperature of the encoders that rows and sweep are taken from
IMAGES, VIEW_SEED = 512, 0
ROW_IMAGES, SWEEP_IMAGES = 16, 128
SWEEP = [round(0.01 * 200 ** (i / 16), 4) for i in range(17)]  # 0.01 to 2, evenly in the logarithm


def choose_rows(z1: Tensor, z2: Tensor, labels: Tensor) -> list[dict]:
    """The three rows of similarities described above, candidates in order of similarity."""
    z1, z2 = F.normalize(z1, dim=1), F.normalize(z2, dim=1)
    partner_similarity = (z1 * z2).sum(dim=1)
    anchor = int((partner_similarity - partner_similarity.median()).abs().argmin())
    similarity = torch.stack([z1, z2], dim=1) @ z1[anchor]  # (n, 2), to both views of every image
    other = (labels != labels[anchor]).nonzero().flatten()
    alike = (labels == labels[anchor]).nonzero().flatten()
    alike = alike[alike != anchor]
    nearest = similarity[other].amax(dim=1).argsort(descending=True, stable=True)
    easy = other[: ROW_IMAGES - 1]
    images_of = {
        "easy": easy,
        "hard": other[nearest[: ROW_IMAGES - 1]],
        "false negative": torch.cat([alike[:3], easy[3:]]),
    }
    rows = []
    for name, images in images_of.items():
        candidates = [(anchor, 2)] + [(int(i), view) for i in images for view in (1, 2)]
        candidates.sort(key=lambda c: -float(similarity[c[0], c[1] - 1]))
        kinds = [
            "partner" if i == anchor else "same class" if labels[i] == labels[anchor] else "other class"
            for i, _ in candidates
        ]
        rows.append(
            {
                "name": name,
                "anchor": [anchor, 1],
                "candidates": [list(c) for c in candidates],
                "kinds": kinds,
                "similarities": [round(float(similarity[i, view - 1]), 4) for i, view in candidates],
            }
        )
    return rows


def sweep(z1: Tensor, z2: Tensor, labels: Tensor) -> list[dict]:
    """How the pull on negatives is shared out at each temperature, averaged over all anchors."""
    found = []
    for temperature in SWEEP:
        parts = []
        for start in range(0, len(z1), SWEEP_IMAGES):
            part = slice(start, start + SWEEP_IMAGES)
            n, y = len(z1[part]), labels[part].repeat(2)
            z = F.normalize(torch.cat([z1[part], z2[part]]), dim=1)
            partner = torch.eye(2 * n, dtype=torch.bool).roll(n, dims=1)
            itself = torch.eye(2 * n, dtype=torch.bool)
            negatives = (
                (z @ z.T / temperature).masked_fill(partner | itself, -torch.inf).softmax(dim=1)
            )  # shares of the pull
            alike = (y[:, None] == y[None, :]) & ~partner & ~itself
            parts.append(
                {
                    "loss": float(nt_xent(z1[part], z2[part], temperature)),
                    "effective_negatives": float(torch.special.entr(negatives).sum(dim=1).exp().mean()),
                    "share_same_class": float((negatives * alike).sum(dim=1).mean()),
                    "same_class_among_negatives": float(alike.sum() / (2 * n * (2 * n - 2))),
                }
            )
        found.append(
            {"temperature": temperature} | {key: round(sum(p[key] for p in parts) / len(parts), 4) for key in parts[0]}
        )
    return found


def run(temperature: float, seed: int) -> dict:
    method = simclr(seed, CONFIG, temperature)
    method.eval()
    train, val = load("shapes", "train"), load("shapes", "val")
    shown = val.subset(torch.arange(IMAGES))
    with torch.no_grad():
        z1, z2 = method.embeddings(
            *two_views(to_float(shown.images), CONFIG.augment, Generator().manual_seed(VIEW_SEED))
        )
    measured = {
        "temperature": temperature,
        "seed": seed,
        "knn": round(
            knn_accuracy(embed(method.encoder, train), train.labels, embed(method.encoder, val), val.labels), 4
        ),
        "alignment": round(float(alignment(z1, z2)), 4),
        "uniformity": round(float(uniformity(z1)), 4),
    }
    if temperature == SHOWN:
        measured["sweep"] = sweep(z1, z2, shown.labels)
        measured["rows"] = choose_rows(z1, z2, shown.labels)
    return measured


if __name__ == "__main__":
    settings = [{"temperature": t, "seed": seed} for seed in SEEDS for t in TEMPERATURES]
    runs, minutes = record_all("similarity_rows", run, settings)
    shown = load("shapes", "val", limit=IMAGES).images
    records.write(
        "similarity_rows",
        room="lessons/infonce",
        script="benchmarks/record_similarity_rows.py",
        about=(
            "SimCLR on shapes at three temperatures: rows of similarities of one view, "
            "how temperature shares out the pull on negatives, and how each run ended."
        ),
        config={
            "data": "shapes",
            "encoder": "small_resnet(width=16)",
            "train": asdict(CONFIG) | {"seed": "that of the run"},
            "chance_loss": round(chance_loss(CONFIG.batch_size), 4),
            "views": {
                "split": "val",
                "images": IMAGES,
                "seed": VIEW_SEED,
                "sha256": hashlib.sha256(shown.numpy().tobytes()).hexdigest(),
            },
            "rows": __doc__.split("* `rows`, ")[1].split("* `sweep`")[0].strip(),
        },
        runs=runs,
        minutes=minutes,
    )
