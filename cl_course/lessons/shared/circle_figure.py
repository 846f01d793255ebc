"""Two views of every image as points on a circle, where they are pushed, and how evenly they end."""

import numpy as np
from matplotlib.figure import Figure

from cl_course.lessons.shared.style import BLUE, GRID, INK, MUTED, ORANGE, PALETTE, subplots

NAMES = "ABCDEFGHIJKL"
LARGEST = len(NAMES)


class CirclePicture:
    """The circle at one step, and alignment and uniformity over all steps; `update` moves the same artists.

    Args:
        n: images, at most 12; each is a letter, its view 1 a disc and its view 2 a square.
        steps: the last step of the axis; even: uniformity of points spread evenly, for a reference line.
    """

    def __init__(self, n: int, steps: int, even: float):
        if not 2 <= n <= LARGEST:
            raise ValueError(f"the circle shows 2 to {LARGEST} images, got {n}")
        self.figure, (self.circle, self.curves) = subplots(1, 2, width=8.6, height=4.0)
        self.figure.set_layout_engine("none")
        self.circle.set_position((0.01, 0.03, 0.43, 0.93))
        self.curves.set_position((0.52, 0.14, 0.45, 0.72))
        self._draw_circle(n)
        self._draw_curves(steps, even)

    def _draw_circle(self, n: int) -> None:
        self.circle.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), aspect="equal", xticks=[], yticks=[], frame_on=False)
        turn = np.linspace(0, 2 * np.pi, 200)
        self.circle.plot(np.cos(turn), np.sin(turn), color=GRID, linewidth=1.5, zorder=0)
        colors = [PALETTE[i % len(PALETTE)] for i in range(n)]
        self.chords = [self.circle.plot([], [], color=color, linewidth=1, alpha=0.6)[0] for color in colors]
        # The square fits into the disc: partners that have met show both.
        self.points = [
            self.circle.scatter(
                np.zeros(n), np.zeros(n), color=colors, marker=marker, s=size, edgecolor="white", zorder=3
            )
            for marker, size in (("o", 130), ("s", 45))
        ]
        self.letters = [
            self.circle.text(0, 0, NAMES[i], color=colors[i], fontsize=10, ha="center", va="center", weight="bold")
            for i in range(n)
        ]
        self.arrows = self.circle.quiver(
            *np.zeros((4, 2 * n)), color=INK, angles="xy", scale_units="xy", scale=1, width=0.006, minlength=0, zorder=4
        )
        self.circle.text(
            -1.28,
            1.3,
            "disc: view 1\nsquare: view 2\narrow: where the\nloss moves it",
            fontsize=8,
            color=MUTED,
            va="top",
        )
        veil = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none"}  # the lines between partners pass behind
        self.caption = self.circle.text(
            0, 0, "", ha="center", va="center", fontsize=10, color=INK, linespacing=1.5, bbox=veil
        )

    def _draw_curves(self, steps: int, even: float) -> None:
        self.curves.set(xlim=(0, steps), ylim=(min(-2.4, even - 0.4), 4.1), xlabel="step")
        self.curves.set_title("What the embeddings are like", loc="left")
        self.curves.axhline(even, color=ORANGE, linewidth=0.8, linestyle=":")
        self.curves.annotate(
            "uniformity of even points",
            (steps, even),
            xytext=(0, -3),
            textcoords="offset points",
            color=MUTED,
            fontsize=8,
            ha="right",
            va="top",
        )
        self.now = self.curves.axvline(0, color=MUTED, linewidth=0.8)
        self.lines = [
            self.curves.plot([], [], color=color, linestyle=style, label=label)[0] for color, style, label in _CURVES
        ]
        self.marks = [self.curves.plot([], [], color=color, marker="o", markersize=6)[0] for color, _, _ in _CURVES]
        self.curves.legend(loc="upper right", frameon=False)

    def update(
        self,
        angles: np.ndarray,
        push: np.ndarray,
        alignment: np.ndarray,
        uniformity: np.ndarray,
        step: int,
        caption: str,
    ) -> Figure:
        """Show one step.

        Args:
            angles: of both views, radians, (2, n); push: how far along the circle each is pushed, radians, (2, n).
            alignment, uniformity: at every step, (steps + 1,).
        """
        place = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (2, n, 2)
        for points, where in zip(self.points, place):
            points.set_offsets(where)
        for image, (chord, letter) in enumerate(zip(self.chords, self.letters)):
            chord.set_data(place[:, image, 0], place[:, image, 1])
            letter.set_position(1.17 * place[0, image])
        along = np.stack([-np.sin(angles), np.cos(angles)], axis=-1) * push[..., None]
        self.arrows.set_offsets(place.reshape(-1, 2))
        self.arrows.set_UVC(*along.reshape(-1, 2).T)
        self.caption.set_text(caption)
        self.now.set_xdata([step, step])
        for line, mark, values in zip(self.lines, self.marks, (alignment, uniformity)):
            line.set_data(range(len(values)), values)
            mark.set_data([step], [values[step]])
        return self.figure


_CURVES = ((BLUE, "-", "alignment (0: partners meet)"), (ORANGE, "--", "uniformity (lower: more even)"))
