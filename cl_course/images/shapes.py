"""The embedded data set: ten kinds of object, drawn from a seed, with everything known about them.

Each image is drawn from known *factors* (class, object hue, background hue, position, scale, angle), so a lesson can
measure what an augmentation made a network forget. Only numpy is used, in double precision and on its PCG64 generator,
so that every platform draws the same bytes.
"""

from dataclasses import dataclass

import numpy as np

SIZE = 32  # pixels, both sides
CLASS_NAMES = ("disc", "square", "triangle", "star", "flower", "cross", "ring", "moon", "heart", "bolt")
SPLIT_SIZES = {"train": 8000, "val": 2000, "test": 2000}

# Each class has its own stripes, on the object alone: their angle (radians), and how many periods cross the object.
# Shape and stripes agree; either tells the class.
STRIPES = ((0.0, 2.0), (0.8, 3.0), (1.6, 2.0), (2.4, 3.0), (0.4, 4.0))
STRIPES += ((1.2, 4.0), (2.0, 2.5), (2.8, 3.5), (0.0, 3.5), (1.6, 3.5))


@dataclass(frozen=True)
class Style:
    """How images are drawn. Lengths are in half-widths of the image: its edge is at 1."""

    angle: float = 0.35  # the largest turn, either way, in radians
    position: float = 0.4  # the largest shift, either way
    scale: tuple[float, float] = (0.45, 0.85)  # smallest and largest radius of the object
    stripes: float = 0.5  # their contrast
    gradient: float = 0.15  # how much the background's brightness may change from the centre to an edge
    noise: float = 0.04  # standard deviation, for pixels from 0 to 1


@dataclass(frozen=True)
class Drawing:
    """images: uint8 (n, 3, 32, 32); labels: int64 (n,); masks: bool (n, 32, 32); factors: float64 (n,) or (n, 2)."""

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    factors: dict[str, np.ndarray]


def draw(split: str, seed: int = 0, limit: int | None = None, style: Style = Style()) -> Drawing:
    """Draw one split; the splits of a seed share no random numbers.

    Args:
        split: "train" (8,000 images), "val" or "test" (2,000 each).
        limit: draw only so many images; the first `limit` factors are those of the full split.

    Raises:
        ValueError: the split does not exist.
    """
    if split not in SPLIT_SIZES:
        raise ValueError(f"shapes has no split {split!r}; it has {', '.join(SPLIT_SIZES)}")
    stream = np.random.SeedSequence([seed, list(SPLIT_SIZES).index(split)])
    for_factors, for_noise = (np.random.Generator(np.random.PCG64(s)) for s in stream.spawn(2))
    full = SPLIT_SIZES[split]
    n = full if limit is None else min(limit, full)
    factors = {name: values[:n] for name, values in _draw_factors(full, for_factors, style).items()}
    labels = factors.pop("class").astype(np.int64)
    images, masks = np.empty((n, 3, SIZE, SIZE), np.uint8), np.empty((n, SIZE, SIZE), bool)
    for start in range(0, n, 500):  # 500 images in double precision stay near the cache
        part = slice(start, min(start + 500, n))
        rendered, cover = _render(labels[part], {k: v[part] for k, v in factors.items()}, style)
        rendered += style.noise * for_noise.standard_normal(rendered.shape)
        images[part] = np.rint(255 * np.clip(rendered, 0, 1)).astype(np.uint8)
        masks[part] = cover > 0.5
    return Drawing(images, labels, masks, factors)


def _draw_factors(n: int, rng: np.random.Generator, style: Style) -> dict[str, np.ndarray]:
    object_hue = rng.random(n)
    apart = rng.uniform(0.2, 0.8, n)  # hues are a circle: both ends of this range are 0.2 apart
    return {
        "class": rng.permutation(np.arange(n) % len(CLASS_NAMES)),  # balanced
        "object_hue": object_hue,
        "background_hue": (object_hue + apart) % 1.0,
        "position": rng.uniform(-style.position, style.position, (n, 2)),  # x, y
        "scale": rng.uniform(*style.scale, n),
        "angle": rng.uniform(-style.angle, style.angle, n),
        "lightness": rng.uniform(0.6, 1.0, (n, 2)),  # of object, of background
        "gradient": rng.uniform(-style.gradient, style.gradient, (n, 2)),
        "phase": rng.random(n),  # of the stripes
    }


def _render(labels: np.ndarray, f: dict[str, np.ndarray], style: Style) -> tuple[np.ndarray, np.ndarray]:
    """Float images (n, 3, h, w), not yet clipped, and how much of each pixel the object covers."""
    front, cover = paint_objects(labels, f, style)
    back = paint_background(f, SIZE)
    return back + cover[:, None] * (front - back), cover


def _ticks(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of all pixels' centres in half-widths, (1, 1, size) and (1, size, 1)."""
    ticks = (np.arange(size) + 0.5) / size * 2 - 1
    return ticks[None, None, :], ticks[None, :, None]


def paint_objects(labels: np.ndarray, f: dict[str, np.ndarray], style: Style) -> tuple[np.ndarray, np.ndarray]:
    """One object on each card: colours (n, 3, 32, 32) that hold where it is, and how much of a pixel it covers."""
    x, y = _ticks(SIZE)
    f = {name: values[..., None, None] for name, values in f.items()}  # one number for all pixels
    # Into the object's own frame: centred, turned upright, radius 1.
    cos, sin = np.cos(f["angle"]), np.sin(f["angle"])
    dx, dy = x - f["position"][:, 0], y - f["position"][:, 1]
    u, v = (cos * dx + sin * dy) / f["scale"], (cos * dy - sin * dx) / f["scale"]

    cover, wave = np.empty_like(u), np.empty_like(u)
    pixel = 2 / SIZE / f["scale"]  # a pixel's width in the object's frame
    for c, (outline, (angle, periods)) in enumerate(zip(OUTLINES, STRIPES)):
        of_class = labels == c
        inside = outline(u[of_class], v[of_class])  # > 0 inside, about the distance to the edge
        cover[of_class] = np.clip(inside / pixel[of_class] + 0.5, 0, 1)  # antialiased
        along = np.cos(angle) * u[of_class] + np.sin(angle) * v[of_class]
        wave[of_class] = np.cos(2 * np.pi * (periods / 2 * along + f["phase"][of_class]))

    texture = (1 - style.stripes * (0.5 + 0.5 * wave)) * f["lightness"][:, 0]
    return texture[:, None] * _rgb(f["object_hue"]), cover


def paint_background(f: dict[str, np.ndarray], size: int) -> np.ndarray:
    """Backgrounds (n, 3, size, size): one hue, its brightness a gradient."""
    x, y = _ticks(size)
    f = {name: values[..., None, None] for name, values in f.items()}
    background = (1 + f["gradient"][:, 0] * x + f["gradient"][:, 1] * y) * f["lightness"][:, 1]
    return background[:, None] * _rgb(f["background_hue"])


def _rgb(hue: np.ndarray, saturation: float = 0.65) -> np.ndarray:
    """Colours (n, 3, 1, 1) of full value, from hues (n, 1, 1): HSV to RGB in its closed form."""
    k = (np.array([5, 3, 1])[:, None, None] + 6 * hue[:, None]) % 6
    return 1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


# Outlines: functions of the object's own frame (x to the right, y down, radius 1), positive inside, and near the edge
# about the distance to it. Only + - * / sqrt, sin, cos, arctan2.
def _polygon(*corners):
    """A convex polygon, from its corners in clockwise order on the screen."""

    def outline(u, v):
        sides = []
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
            length = np.hypot(x2 - x1, y2 - y1)
            sides.append(((x2 - x1) * (v - y1) - (y2 - y1) * (u - x1)) / length)
        return np.minimum.reduce(sides)

    return outline


def _polar(radius):
    """A shape whose edge lies at distance radius(angle) from the centre."""
    return lambda u, v: radius(np.arctan2(v, u)) - np.sqrt(u * u + v * v)


def _disc(x=0.0, y=0.0, r=0.9):
    return lambda u, v: r - np.sqrt((u - x) ** 2 + (v - y) ** 2)


def _star_radius(angle):
    wedge = np.pi / 5
    bent = np.abs((angle + np.pi / 2 + wedge) % (2 * wedge) - wedge)  # 0 at a tip, pi/5 in a notch
    return 0.42 * np.sin(wedge) / (0.42 * np.sin(wedge - bent) + np.sin(bent)) * 1.05


def _cross(u, v):
    u, v = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(0.95 - u, 0.32 - v), np.minimum(0.32 - u, 0.95 - v))


def _heart(u, v):
    u = np.abs(u)  # a square on its corner, with half a disc on each upper side
    lobe = 0.53 - np.sqrt((u - 0.45) ** 2 + (v + 0.35) ** 2)
    square = np.sqrt(0.5) * np.minimum(0.85 - u - v, 0.8 - u + v)
    return np.maximum(lobe, square)


def _bolt(u, v):
    upper = _polygon((-0.1, -1.0), (0.6, -1.0), (0.25, 0.15), (-0.6, 0.15))
    lower = _polygon((-0.25, -0.15), (0.6, -0.15), (-0.2, 1.05), (-0.25, 1.05))
    return np.maximum(upper(u, v), lower(u, v))


OUTLINES = (
    _disc(),
    _polygon((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    _polygon((0.0, -1.0), (0.95, 0.75), (-0.95, 0.75)),
    _polar(_star_radius),
    _polar(lambda angle: 0.72 + 0.22 * np.cos(6 * angle)),
    _cross,
    lambda u, v: np.minimum(_disc(r=0.95)(u, v), -_disc(r=0.5)(u, v)),
    lambda u, v: np.minimum(_disc(r=0.95)(u, v), -_disc(0.5, -0.1, 0.75)(u, v)),
    _heart,
    _bolt,
)
