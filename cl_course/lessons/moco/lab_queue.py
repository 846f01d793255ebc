"""Queue lab: the keys in MoCo's queue, how old they are, and which encoder made them.

With q_t the query encoder's weights after t steps, the key encoder's are k_t = m k_{t-1} + (1 - m) q_t
(MoCo, eq. 2), hence an average of all past query encoders in which that of j steps ago has the share
(1 - m) m^j. Its mean age, the lag, is m / (1 - m) steps.

Distances are those of a query encoder that wanders: each step has length 1 and a direction of its own,
at right angles to all others. A real one also moves *on*; the part of its way that goes straight moves
the key encoder as much at any momentum.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from IPython.display import display

from cl_course.lessons.shared.lab_page import page_lab
from cl_course.momentum import check_momentum

MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
QUEUES = (512, 1024, 2048, 4096, 8192, 16384)
BATCHES = (32, 64, 100, 128, 256, 512)
LAST_STEP = 200


def lag(momentum: float) -> float:
    """How many steps the key encoder is behind on average; infinite where it never moves."""
    check_momentum(momentum)
    return momentum / (1 - momentum) if momentum < 1 else math.inf


def behind(momentum: float | np.ndarray) -> float | np.ndarray:
    """How far a wandering query encoder is from its key encoder, in lengths of a step; momentum below 1.

    From q_t - k_t = m (q_t - k_{t-1}): the squared distance V is m^2 (V + 1), once it has settled.
    """
    return momentum / np.sqrt(1 - momentum**2)


def across(momentum: float | np.ndarray, age: int) -> float | np.ndarray:
    """How far the key encoder that made a key of this age is from the one now, in lengths of a step; momentum below 1.

    Each of its steps is m of the one before and 1 - m of the query encoder's; over `age` of them the
    squares add up to age - 2 m (1 - m^age) / (1 - m^2).
    """
    squared = age - 2 * momentum * (1 - momentum**age) / (1 - momentum**2)
    return np.sqrt(np.maximum(squared, 0))  # rounding


@dataclass(frozen=True)
class Belt:
    """A queue at some step of a run.

    Attributes:
        queue_size: places; batch_size: keys that each step puts in, at most as many.
        momentum: of the key encoder, in [0, 1).
        step: how many batches have gone in.
        images: of the data set; each gives one key an epoch.
    """

    queue_size: int = 4096
    batch_size: int = 128
    momentum: float = 0.99
    step: int = 40
    images: int = 8000

    def __post_init__(self):
        if not 1 <= self.batch_size <= self.queue_size:
            raise ValueError(f"batch_size must lie between 1 and the queue's {self.queue_size}, got {self.batch_size}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}; at 1 the key encoder never moves")

    @property
    def oldest(self) -> int:
        """The place that the next key goes to."""
        return self.step * self.batch_size % self.queue_size

    @property
    def longest(self) -> int:
        """The age of the oldest key once the belt is full: as many batches as lie on it."""
        return -(-self.queue_size // self.batch_size)

    def ages(self) -> np.ndarray:
        """Of the key at each place, in steps (the newest are 1), (queue_size,); nan where the random start is."""
        put_in = self.step * self.batch_size
        last = (
            put_in - 1 - (put_in - 1 - np.arange(self.queue_size)) % self.queue_size
        )  # number of the last key put there
        return np.where(last >= 0, self.step - last // self.batch_size, np.nan)

    @property
    def sentence(self) -> str:
        """All numbers in words, beside the picture and for those who cannot see it."""
        filled = int(np.isfinite(self.ages()).sum())
        start = (
            ""
            if filled == self.queue_size
            else f" {filled:,} of them have been made so far, the rest are still the random start."
        )
        many = (
            " That is more keys than images: every image also meets its own earlier keys, as negatives."
            if self.queue_size > self.images
            else ""
        )
        behind_now, behind_then = lag(self.momentum), self.longest + lag(self.momentum)
        return (
            f"Step {self.step}: {self.queue_size:,} keys, {self.batch_size} a step, so the oldest is {self.longest} "
            f"steps old ({self.queue_size / self.images:.2g} epochs of {self.images:,} images)."
            f"{start}{many} At momentum {self.momentum:g} a key made now is the work of query encoders "
            f"{behind_now:.3g} steps old on average, the oldest key of some {behind_then:.3g} steps old. "
            f"If the query encoder wanders, the key encoder is {behind(self.momentum):.1f} step lengths from it, "
            f"and {across(self.momentum, self.longest):.1f} from the one that made the oldest key "
            f"(without momentum {across(0.0, self.longest):.1f})."
        )


def queue_lab(belt: Belt = Belt()) -> None:
    """Sliders for momentum, queue and batch; `step` moves the belt. The page computes and draws, see lab_queue.js."""
    one_of_these = {"momenta": MOMENTA, "queues": QUEUES, "batches": BATCHES}
    display(page_lab(__file__, "lab_queue", **asdict(belt), last_step=LAST_STEP, **one_of_these))
