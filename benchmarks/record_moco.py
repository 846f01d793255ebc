"""Records what MoCo's momentum, queue, batch and BatchNorm do, one thing changed at a time: lesson 04.

    python benchmarks/record_moco.py

Every epoch is watched on validation; test is asked once, at the end.
"""

import copy
from collections import deque
from dataclasses import asdict, replace

import torch
import torch.nn.functional as F
from runs import judge, record_all, shapes
from torch import Generator, nn

from cl_course.augment import two_views
from cl_course.data import to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.losses import info_nce
from cl_course.methods import MoCo
from cl_course.running import records
from cl_course.running.recipes import Recipe, recipe
from cl_course.train import pretrain

SEEDS = range(3)
EPOCHS = 6
RECIPE = recipe("moco")
# Question -> what is changed of the recipe (momentum 0.95); "simclr" is SimCLR's recipe in its place.
QUESTIONS = {
    "momentum": [{"momentum": m} for m in (0.0, 0.9, 0.95, 0.99, 0.999)],
    "queue": [{"queue_size": 256}, {"queue_size": 4096}, {"queue_size": 4096, "momentum": 0.99}],
    "batch": [
        {"batch_size": 32, "queue_size": 4096, "momentum": 0.99},
        {"batch_size": 32, "queue_size": 4096, "momentum": 0.999},
        {"method": "simclr", "batch_size": 32},
        {"method": "simclr", "batch_size": 512},
    ],
    "norm": [
        *({"norm_groups": groups} for groups in (4, 16)),
        {"norm_groups": 4, "key_norm": "shuffled"},
        {"norm_groups": 2, "key_norm": "shuffled", "batch_size": 32, "queue_size": 4096, "momentum": 0.99},
    ],
}
AGES = (1, 2, 4, 8, 16, 32, 64, 128)  # in steps, at which drift is measured
PROBES = 32  # validation images whose keys are made anew at every step
COMPANY = 8  # an image's other company: seven of eight in its batch are exchanged


def chosen(method: str, seed: int, epochs: int, batch_size: int | None = None, **changed) -> Recipe:
    """The recipe with something changed.

    With another batch size the rate goes by its square root, as in the ablation of lesson 03.
    """
    one = recipe(method, seed=seed)
    batch = batch_size or one.config.batch_size
    rate = one.config.learning_rate * (batch / one.config.batch_size) ** 0.5
    config = replace(one.config, epochs=epochs, batch_size=batch, learning_rate=rate)
    return replace(one, settings=one.settings | changed, config=config)


class Watch:
    """What every epoch is measured by: kNN on validation; of MoCo also the drift of keys, and whether BatchNorm leaks.

    drift: cosine similarity of the keys that the key network makes of the probes now and `AGES` steps ago.
    behind: the same of query and key of one view, now.
    cost: for the keys of each age in the queue, the newest first, log of the mean of exp(s / T) over queries of
        validation images: what such a negative adds to the loss. Where old keys cost less than fresh ones, a query
        tells its own key by being fresh.
    leak: how much the loss rises when BatchNorm normalises the keys beside other images than their queries'.
    """

    def __init__(self, train, val, config):
        self.gallery, self.val = (
            train.subset(torch.randperm(len(train), generator=Generator().manual_seed(0))[:4000]),
            val,
        )
        n = config.batch_size
        views = two_views(to_float(val.images[: 2 * max(n, PROBES)]), config.augment, Generator().manual_seed(0))
        self.probes = views[0][:PROBES]
        self.batch, self.others = [v[:n] for v in views], [v[n : 2 * n] for v in views]
        self.made = deque(maxlen=AGES[-1] + 1)  # keys of the probes, by step

    def after_step(self, method: MoCo) -> None:
        with (
            torch.no_grad()
        ):  # in training mode, as keys are made; the buffers that this moves are copied over in the next step
            self.made.append(F.normalize(method.key_projector(method.key_encoder(self.probes)), dim=1))

    @torch.no_grad()
    def __call__(self, row: dict, method: nn.Module) -> dict:
        knn = knn_accuracy(
            embed(method.encoder, self.gallery), self.gallery.labels, embed(method.encoder, self.val), self.val.labels
        )
        measured = {"knn": knn}
        if isinstance(method, MoCo):
            now = self.made[-1]
            measured["drift"] = [
                float((self.made[-1 - age] * now).sum(dim=1).mean()) for age in AGES if age < len(self.made)
            ]
            trial = copy.deepcopy(method).train()
            measured["behind"] = float(
                F.cosine_similarity(trial.projector(trial.encoder(self.probes)), now, dim=1).mean()
            )
            measured |= self._asked(copy.deepcopy(method).train())
        return measured

    def _asked(self, method: MoCo) -> dict:
        x_q, x_k, others = torch.cat(self.batch), torch.cat(self.batch[::-1]), torch.cat(self.others)
        q, k = method.embeddings(x_q, x_k)
        elsewhere = torch.empty_like(k)
        for first in range(COMPANY):
            mixed = others.clone()
            mixed[first::COMPANY] = x_k[first::COMPANY]
            elsewhere[first::COMPANY] = method.embeddings(x_q, mixed)[1][first::COMPANY]
        loss, without = (float(info_nce(q, keys, method.queue, method.temperature)) for keys in (k, elsewhere))
        newest_first = method.queue.roll(-int(method.oldest), dims=0).flip(0)
        logits = F.normalize(q, dim=1) @ newest_first.T / method.temperature
        cost = [
            float((part.logsumexp(dim=1) - torch.tensor(part.shape[1]).log()).mean())
            for part in logits.split(len(q), dim=1)
        ]
        return {"positive": float(F.cosine_similarity(q, k, dim=1).mean()), "leak": without - loss, "cost": cost}


def run(method: str, seed: int, epochs: int, **changed) -> dict:
    train, val, test = shapes()
    one = chosen(method, seed, epochs, **changed)
    model, watch = one.build(train), Watch(train, val, one.config)
    if isinstance(model, MoCo):
        drift_and_enqueue = model.after_step
        model.after_step = lambda: (drift_and_enqueue(), watch.after_step(model))
    history = pretrain(model, train, one.config, on_epoch=watch)
    curves = {name: _rounded(history.column(name)) for name in history.rows[0] if name not in ("epoch", "seconds")}
    measured = judge(train, val, test, lambda images: embed(model.encoder, images))
    return (
        {"method": method, "seed": seed, "batch_size": one.config.batch_size}
        | one.settings
        | {"curves": curves}
        | measured
    )


def _rounded(values: list) -> list:
    return [_rounded(value) if isinstance(value, list) else round(value, 4) for value in values]


if __name__ == "__main__":
    jobs = [
        {"method": "moco", "epochs": EPOCHS} | setting | {"seed": seed}
        for seed in SEEDS
        for question in QUESTIONS.values()
        for setting in question
    ]
    runs, minutes = record_all("moco", run, jobs)
    records.write(
        "moco",
        room="lessons/moco",
        script="benchmarks/record_moco.py",
        about=(
            "MoCo on shapes with one thing changed at a time, and SimCLR at two batch sizes: "
            "curves by epoch on validation, accuracy on test at the end."
        ),
        config=asdict(RECIPE.config)
        | {"epochs": EPOCHS, "settings": RECIPE.settings, "ages": AGES, "questions": QUESTIONS},
        runs=runs,
        minutes=minutes,
    )
