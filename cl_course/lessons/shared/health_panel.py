"""The live health panel: give one to `pretrain(..., on_epoch=panel)` and watch."""

import torch
from IPython.display import display
from torch import Generator, nn

from cl_course.augment import two_views
from cl_course.data import ImageSet, to_float
from cl_course.diagnose import Health, health
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.shared.health_figure import health_panel
from cl_course.lessons.shared.show import figure_bundle
from cl_course.train import TrainConfig


class HealthPanel:
    """Measures a run after every epoch and redraws one picture under the cell.

    Args:
        gallery, queries: labelled images for the nearest-neighbour vote, gallery from train and
            queries from validation; the labels judge, the training never sees them.
        config: of the run; its augmentation makes the pairs of views that are compared.
        live: redraw while training; otherwise only measure (`figure()` draws).
    """

    def __init__(self, gallery: ImageSet, queries: ImageSet, config: TrainConfig, live: bool = True):
        self.gallery, self.queries, self.config, self.live = gallery, queries, config, live
        views = two_views(to_float(queries.images[: config.batch_size]), config.augment, Generator().manual_seed(0))
        self.views, self.rows, self.now, self._handle = views, [], None, None
        labels = queries.labels[: config.batch_size]
        alike = labels[:, None] == labels  # (n, n)
        self.same_class = alike[~torch.eye(len(labels), dtype=torch.bool)].numpy()  # of the negative pairs

    def __call__(self, row: dict, method: nn.Module) -> dict:
        self.now = self.measure(row["loss"], method)
        measured = {"knn": self.now.knn, "spread": self.now.spread, "effective_rank": self.now.effective_rank}
        self.rows.append(row | measured)
        if self.live:
            self._redraw()
        return measured

    def replay(self, rows: list[dict], method: nn.Module) -> None:
        """Draw a run that this panel did not watch, from its history's rows."""
        self.rows, self.now = rows, self.measure(rows[-1]["loss"], method)
        self._redraw()

    @torch.no_grad()
    def measure(self, loss: float, method: nn.Module) -> Health:
        was_training = method.training
        method.eval()
        device = next(method.parameters()).device
        z1, z2 = (z.float().cpu() for z in method.embeddings(*(view.to(device) for view in self.views)))
        method.train(was_training)
        gallery_h, query_h = embed(method.encoder, self.gallery), embed(method.encoder, self.queries)
        knn = knn_accuracy(gallery_h, self.gallery.labels, query_h, self.queries.labels)
        return health(z1, z2, query_h, loss, method.chance(self.config.batch_size), knn)

    @property
    def title(self) -> str:
        done = self.rows[-1]["epoch"]
        seconds = sum(row["seconds"] for row in self.rows)
        left = seconds / len(self.rows) * (self.config.epochs - done)
        progress = f"epoch {done} of {self.config.epochs}, {seconds:.0f} s of training" + (
            f", about {left:.0f} s left" if left else ""
        )
        return f"{progress}\n{self.now.sentence}"

    def figure(self):
        """The panel as it stands."""
        return health_panel(
            self.rows,
            epochs=self.config.epochs,
            chance=self.now.chance,
            positive=self.now.positive.numpy(),
            negative=self.now.negative.numpy(),
            same_class=self.same_class,
            dim=self.now.dim,
            title=self.title,
        )

    @property
    def alt(self) -> str:
        """The panel in words."""
        row = self.rows[-1]
        return (
            f"Health panel: {self.title} Loss {row['loss']:.2f} against {self.now.chance:.2f} at chance, "
            f"kNN accuracy {row['knn']:.3f}, spread {row['spread']:.2f}, "
            f"effective rank {row['effective_rank']:.0f} of {self.now.dim}."
        )

    def _redraw(self) -> None:
        data = figure_bundle(self.figure(), self.alt)
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)
