"""Scenes: one to four objects of the embedded set on a background of 64 x 64, with boxes and masks.

Each object is painted as on a card of `shapes`, in a window of 32 x 32 pixels, and put into the scene; a later one
covers an earlier one. An object keeps its number of pixels from card to scene, so that an encoder trained on cards
meets objects of the size it knows.
"""

from dataclasses import dataclass

import numpy as np

from cl_course.images.shapes import CLASS_NAMES, Style, paint_background, paint_objects
from cl_course.images.shapes import SIZE as WINDOW

SIZE = 64  # pixels, both sides
SPLIT_SIZES = {"train": 4000, "val": 500, "test": 1000}
MOST = 4  # objects in a scene
RADII = (6.4, 12.0)  # smallest and largest radius, in pixels; on cards it is from 7.2 to 13.6
REACH = 1.21  # radii from the centre to the outermost corner of any outline
APART = 0.8  # two centres are at least this share of the sum of their radii apart
STYLE = Style()  # turns, stripes, gradient and noise as on cards
TRIES = 30  # places tried for an object; one that finds none is left out


@dataclass(frozen=True)
class Drawing:
    """n scenes; object j of scene i is row i, j.

    Attributes:
        images: uint8 (n, 3, 64, 64).
        shown: uint8 (n, 64, 64): 0 for the background, j + 1 where object j is seen.
        labels: int64 (n, 4), -1 where a scene has fewer objects.
    """

    images: np.ndarray
    shown: np.ndarray
    labels: np.ndarray


def draw(split: str, seed: int = 0, limit: int | None = None) -> Drawing:
    """Draw one split; splits, seeds and the cards of `shapes` share no random numbers.

    Args:
        split: "train" (4,000 scenes), "val" (500) or "test" (1,000).
        limit: draw only so many; the first of the full split.

    Raises:
        ValueError: the split does not exist.
    """
    if split not in SPLIT_SIZES:
        raise ValueError(f"scenes has no split {split!r}; it has {', '.join(SPLIT_SIZES)}")
    stream = np.random.SeedSequence([seed, list(SPLIT_SIZES).index(split), SIZE])
    for_factors, for_noise = (np.random.Generator(np.random.PCG64(s)) for s in stream.spawn(2))
    full = SPLIT_SIZES[split]
    n = full if limit is None else min(limit, full)
    factors = {name: values[:n] for name, values in _draw_factors(full, for_factors).items()}
    labels = factors.pop("class")
    images, shown = np.empty((n, 3, SIZE, SIZE), np.uint8), np.empty((n, SIZE, SIZE), np.uint8)
    for start in range(0, n, 125):  # 125 scenes in double precision stay near the cache
        part = slice(start, min(start + 125, n))
        rendered, shown[part] = _render(labels[part], {k: v[part] for k, v in factors.items()})
        rendered += STYLE.noise * for_noise.standard_normal(rendered.shape)
        images[part] = np.rint(255 * np.clip(rendered, 0, 1)).astype(np.uint8)
    return Drawing(images, shown, labels)


def _draw_factors(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """As of a card, for each of four objects, (n, 4) or (n, 4, 2), and for each background, (n,) or (n, 2)."""
    objects = (n, MOST)
    background_hue = rng.random(n)
    labels = rng.integers(len(CLASS_NAMES), size=objects)
    labels[np.arange(MOST) >= rng.integers(1, MOST + 1, n)[:, None]] = -1
    radius = rng.uniform(*RADII, objects)
    centre = np.empty((*objects, 2))
    for j in range(MOST):
        room = REACH * radius[:, j, None]  # to every edge, so that the whole object is in the scene
        free = np.zeros(n, bool)
        for _ in range(TRIES):
            tried = room + rng.random((n, 2)) * (SIZE - 2 * room)
            gap = np.sqrt(((centre[:, :j] - tried[:, None]) ** 2).sum(axis=2))  # (n, j)
            fits = (gap >= APART * (radius[:, :j] + radius[:, j, None])) | (labels[:, :j] < 0)
            centre[:, j] = np.where(free[:, None], centre[:, j], tried)
            free |= fits.all(axis=1)
        labels[~free, j] = -1
    return {
        "class": labels.astype(np.int64),
        "object_hue": (background_hue[:, None] + rng.uniform(0.2, 0.8, objects)) % 1.0,
        "background_hue": background_hue,
        "centre": centre,  # x, y in pixels
        "radius": radius,
        "angle": rng.uniform(-STYLE.angle, STYLE.angle, objects),
        "lightness": rng.uniform(0.6, 1.0, (*objects, 2)),  # of the object, of the background (that of object 0 counts)
        "gradient": rng.uniform(-STYLE.gradient, STYLE.gradient, (n, 2)),
        "phase": rng.random(objects),  # of the stripes
    }


def _render(labels: np.ndarray, f: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Float images (n, 3, h, w), not yet clipped, and which object is seen at each pixel."""
    background = {name: f[name] for name in ("background_hue", "gradient")} | {"lightness": f["lightness"][:, 0]}
    margin = WINDOW // 2  # a window may reach beyond the scene, though its object does not
    around = ((margin, margin), (margin, margin))
    images = np.pad(paint_background(background, SIZE), ((0, 0), (0, 0), *around))
    shown = np.zeros((len(labels), SIZE + WINDOW, SIZE + WINDOW), np.uint8)

    scene, place = np.nonzero(labels >= 0)
    of = {name: f[name][scene, place] for name in ("object_hue", "angle", "lightness", "phase", "centre", "radius")}
    corner = np.floor(of["centre"]).astype(int)  # of the window on the padded scene: the centre less half a window
    of["position"] = (of.pop("centre") - corner) / margin
    of["scale"] = of.pop("radius") / margin
    colours, covers = paint_objects(labels[scene, place], of, STYLE)
    for i, j, (x, y), colour, cover in zip(scene, place, corner, colours, covers):
        window = np.s_[i, ..., y : y + WINDOW, x : x + WINDOW]
        images[window] += cover * (colour - images[window])
        shown[window][cover > 0.5] = j + 1
    inside = np.s_[..., margin:-margin, margin:-margin]
    return images[inside].copy(), shown[inside]


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """The smallest box (x1, y1, x2, y2), in pixels, around each of some masks: bool (k, h, w) -> float32 (k, 4).

    A pixel is a square: that of column x reaches from x to x + 1.
    """
    boxes = np.empty((len(masks), 4), np.float32)
    for start, seen in ((0, masks.any(axis=1)), (1, masks.any(axis=2))):  # columns, rows
        boxes[:, start] = seen.argmax(axis=1)
        boxes[:, start + 2] = seen.shape[1] - seen[:, ::-1].argmax(axis=1)
    return boxes
