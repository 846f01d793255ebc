"""Temperature lab: one view, its candidates, and what a temperature makes of their similarities."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from IPython.display import display
from torch import Generator

from cl_course.augment import two_views
from cl_course.data import load, to_float
from cl_course.lessons.shared.lab_page import page_lab
from cl_course.lessons.shared.pictures import channels_last, data_uri
from cl_course.losses import check_temperature
from cl_course.running import records
from cl_course.train import TrainConfig
from cl_course.values import one_of, real


@dataclass(frozen=True, eq=False)
class Row:
    """A view and its m candidates, the most similar first.

    Attributes:
        similarities: cosines, (m,); kinds: m of "partner" (one), "other class", "same class".
        anchor, pictures: what they look like, (h, w, 3) and (m, h, w, 3) in [0, 1].
    """

    name: str
    similarities: np.ndarray
    kinds: tuple[str, ...]
    anchor: np.ndarray
    pictures: np.ndarray

    @property
    def partner(self) -> int:
        return self.kinds.index("partner")


@dataclass(frozen=True, eq=False)
class Shares:
    """What a softmax makes of a row: see `shares`."""

    temperature: float
    probabilities: np.ndarray
    pull: np.ndarray
    loss: float
    entropy: float
    effective: float
    same_class: float

    @property
    def title(self) -> str:
        negatives = len(self.pull) - 1
        text = (
            f"T = {self.temperature:.3g}     loss {self.loss:.2f} (chance {np.log(negatives + 1):.2f})     "
            f"{self.effective:.1f} of {negatives} negatives count"
        )
        return text + (f"     same class: {self.same_class:.0%} of the push" if self.same_class > 0 else "")

    @property
    def sentence(self) -> str:
        """All numbers in words, beside the picture and for those who cannot see it."""
        negatives = len(self.pull) - 1
        text = (
            f"At T = {self.temperature:.3g} the partner gets probability {1 - self.lost:.3f}, "
            f"so the loss is {self.loss:.2f} (chance {np.log(negatives + 1):.2f}). "
            f"The push on all negatives together is {self.lost / self.temperature:.2f}; "
            f"its entropy is {self.entropy:.2f} nats of at most {np.log(negatives):.2f}, "
            f"so in effect {self.effective:.1f} of {negatives} negatives count."
        )
        return text + (
            f" Negatives of the anchor's own class bear {self.same_class:.0%} of the push."
            if self.same_class > 0
            else ""
        )

    @property
    def lost(self) -> float:
        """The probability that goes to negatives."""
        return float(self.pull.sum() * self.temperature)


def shares(row: Row, temperature: float) -> Shares:
    """The softmax of a row, the push on each negative, and how many negatives share it.

    The push on negative j is p_j / T, the derivative of the loss by its similarity. Its *shares* are the
    softmax over the negatives alone; their entropy H, in nats, lies in [0, ln of their number], and
    exp(H) is how many negatives with equal shares would have it: the effective number.

    Raises:
        ValueError: the temperature is not positive.
    """
    check_temperature(temperature)
    logits = torch.from_numpy(row.similarities).double() / temperature
    negative = torch.arange(len(logits)) != row.partner
    p = logits.softmax(dim=0)
    of_negatives = logits[negative].softmax(dim=0)
    entropy = float(torch.special.entr(of_negatives).sum())
    alike = torch.tensor([kind == "same class" for kind in row.kinds])[negative]
    return Shares(
        temperature=temperature,
        probabilities=p.numpy(),
        pull=torch.where(negative, p / temperature, 0.0).numpy(),
        loss=0.0 - float(logits.log_softmax(dim=0)[row.partner]),
        entropy=entropy,
        effective=float(np.exp(entropy)),
        same_class=float(of_negatives[alike].sum()),
    )


@cache
def recorded_rows() -> dict[str, Row]:
    """The rows of the record `similarity_rows`, by name: "easy", "hard", "false negative"."""
    record = records.read("similarity_rows")
    views = record["config"]["views"]
    images = to_float(load("shapes", views["split"], limit=views["images"]).images)
    made = two_views(images, TrainConfig().augment, Generator().manual_seed(views["seed"]))
    recorded = next(run["rows"] for run in record["runs"] if "rows" in run)

    def picture(image: int, view: int) -> np.ndarray:
        return channels_last(made[view - 1][image])

    return {
        r["name"]: Row(
            name=r["name"],
            similarities=np.array(r["similarities"]),
            kinds=tuple(r["kinds"]),
            anchor=picture(*r["anchor"]),
            pictures=np.stack([picture(*candidate) for candidate in r["candidates"]]),
        )
        for r in recorded
    }


def temperature_lab(row: str = "easy", temperature: float = 0.3) -> None:
    """A slider for the temperature and a switch between rows; the page computes and draws, see lab_temperature.js.

    Raises:
        ValueError: there is no such row, or the temperature lies outside [0.01, 2].
    """
    rows = recorded_rows()
    one_of("row", row, tuple(rows))
    real("temperature", temperature, least=0.01, most=2)
    shown = [
        {
            "name": r.name,
            "similarities": r.similarities.tolist(),
            "kinds": list(r.kinds),
            "anchor": data_uri(r.anchor),
            "pictures": [data_uri(picture) for picture in r.pictures],
        }
        for r in rows.values()
    ]
    display(page_lab(__file__, "lab_temperature", rows=shown, row=row, temperature=temperature))
