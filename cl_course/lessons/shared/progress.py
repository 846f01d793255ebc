"""A progress bar for a training run: give one to `pretrain(..., on_epoch=bar)`."""

import html

from IPython.display import display
from torch import nn


class ProgressBar:
    """One line under the cell that moves after every epoch; the last one stays.

    Args:
        epochs: of the run.
        name: what is being trained, said before the numbers.
    """

    def __init__(self, epochs: int, name: str = ""):
        self.epochs, self.name, self.seconds, self._handle = epochs, name, 0.0, None

    def __call__(self, row: dict, method: nn.Module) -> None:
        self.seconds += row["seconds"]
        done = row["epoch"]
        text = f"{self.name + ': ' if self.name else ''}epoch {done} of {self.epochs}, loss {row['loss']:.2f}, "
        left = self.seconds / done * (self.epochs - done)
        text += f"about {left:.0f} s left" if left else f"{self.seconds:.0f} s of training"
        label = html.escape(self.name or "training")
        bar = f'<progress aria-label="{label}" value="{done}" max="{self.epochs}"></progress> {html.escape(text)}'
        data = {"text/html": bar, "text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)
