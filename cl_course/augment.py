"""Augmentations as batched tensor code: every image of a batch gets its own random numbers.

The operations of SimCLR (Chen et al. 2020, arXiv:2002.05709, App. A) and BYOL (Grill et al. 2020, arXiv:2006.07733,
App. B), each callable with explicit parameters, one per image. `augment` draws the parameters and applies them;
`two_views` does so twice. Where an image's coin leaves the colour jitter out, its parameters are neutral ones, so that
the batch stays whole.

Colour jitter is always applied in the order brightness, contrast, saturation, hue. BYOL shuffles the four, which a
batch cannot do per image at a comparable speed.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int64
from torch import Generator, Tensor

from cl_course.tensor_types import Images, PerImage, check_images
from cl_course.values import instance, real, shown

LUMA = (0.2989, 0.587, 0.114)  # weights of red, green and blue in grey: ITU-R BT.601, as torchvision rounds them
HUES = (0, 1 / 3, 2 / 3)  # of red, green and blue, in turns of the circle
CHUNK = 128 * 32 * 32  # pixels that a core augments at a time, so that they stay in its cache between two operations


@dataclass(frozen=True)
class AugmentConfig:
    """What may happen to a view, and how often. The default is the course's recipe for 32 pixels.

    `flip`, `jitter`, `grey`, `blur` and `solarize` are probabilities, in [0, 1].
    """

    crop: tuple[float, float] = (0.35, 1.0)  # smallest and largest share of the image's area that is kept; (1, 1): all
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  # of a crop: width / height, as a multiple of the image's own
    flip: float = 0.5
    jitter: float = 0.8
    brightness: float = 0.5  # s: a jittered image's factor is drawn from [max(0, 1 - s), 1 + s]
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.5  # a jittered image's hue is turned by at most this share of the circle, either way; in [0, 0.5]
    grey: float = 0.3
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)  # smallest and largest standard deviation, in pixels
    solarize: float = 0.0

    def __post_init__(self):
        shares = dict.fromkeys(("flip", "jitter", "grey", "blur", "solarize"), 1)
        amounts = dict.fromkeys(("brightness", "contrast", "saturation"))  # without an upper bound
        for name, most in (shares | amounts | {"hue": 0.5}).items():
            object.__setattr__(self, name, real(name, getattr(self, name), least=0, most=most))
        for name, most in {"crop": 1, "ratio": None, "blur_sigma": None}.items():
            object.__setattr__(self, name, _pair(name, getattr(self, name), most))


def _pair(name: str, pair: tuple[float, float], most: float | None) -> tuple[float, float]:
    try:
        low, high = (real(name, bound, above=0, most=most) for bound in pair)
    except (TypeError, ValueError):
        low, high = math.inf, 0
    if low > high:
        bounds = "above 0" if most is None else f"above 0 and at most {most:g}"
        raise ValueError(f"{name} must be a pair of numbers {bounds}, the smaller first, got {shown(pair)}")
    return low, high


def augment(images: Images, config: AugmentConfig, generator: Generator | None = None) -> Images:
    """One random view of every image; the input is left untouched.

    Args:
        images: values in [0, 1], (n, 3, h, w), on any device; the views are such images, too, without a gradient.
        generator: where the random numbers come from, on any device; torch's own if None.

    Raises:
        TypeError, ValueError: another type, shape or range; the sentence has the expression that converts such images.
    """
    check_images(images)
    return _augmented(images, config, generator, copies=1)


def two_views(images: Images, config: AugmentConfig, generator: Generator | None = None,
              share: tuple[int, int] = (0, 1)) -> tuple[Images, Images]:
    """Two independent views of every image: row i of both comes from image i. Arguments and errors as in `augment`.

    Args:
        share: (r, k): the images are rows r, r + k, r + 2k, ... of a larger batch, and get the views they get there.
    """
    check_images(images)
    view1, view2 = _augmented(images, config, generator, copies=2, share=share).chunk(2)
    return view1, view2


def _check_range(part: Tensor, images: Tensor) -> None:
    """Raise unless this part of `images` lies in [0, 1]; the sentence has the range of all."""
    low, high = torch.stack(torch.aminmax(part)).tolist()  # together: a GPU is waited for once
    if not (low >= 0 and high <= 1):  # so that NaN is refused too
        low, high = torch.stack(torch.aminmax(images)).tolist()
        found = f"values from {low:.3g} to {high:.3g}"
        raise ValueError(f"images must lie in [0, 1], got {found}; {_range_remedy(low, high)}")


def _range_remedy(low: float, high: float) -> str:
    if not math.isfinite(high - low):
        return "images.nan_to_num(0, 1, 0) replaces what is not finite, but find out where it comes from"
    if low >= -0.1 and high <= 1.1:
        return "images.clamp(0, 1) cuts what lies just outside"
    if low >= 0:
        return "images / 255 converts bytes" if high <= 255 else "images / images.max() scales them"
    if low >= -1 and high <= 1:
        return "(images + 1) / 2 undoes the normalisation to [-1, 1]"
    return "undo the normalisation with images * std + mean, one number a channel each"


def draw_parameters(
    n: int, size: tuple[int, int], config: AugmentConfig, generator: Generator | None = None,
    share: tuple[int, int] = (0, 1),
) -> dict[str, Tensor]:
    """What will happen to each of n images of `size` (h, w): the arguments of the operations below."""
    device = generator.device if generator is not None else "cpu"
    first, step = share
    u = torch.rand(14, n * step, generator=generator, device=device)[:, first::step]
    chances = u.new_tensor([config.flip, config.jitter, config.grey, config.blur, config.solarize])
    flipped, jittered, greyed, blurred, solarized = u[:5] < chances[:, None]
    ranges = [(max(0, 1 - amount), 1 + amount) for amount in (config.brightness, config.contrast, config.saturation)]
    ranges += [(-config.hue, config.hue), config.blur_sigma]
    low, high = u.new_tensor(ranges).T[:, :, None]
    in_range = torch.lerp(low, high, u[9:])
    neutral = u.new_tensor([1, 1, 1, 0])[:, None]
    jitter = zip(("brightness", "contrast", "saturation", "hue"), torch.where(jittered, in_range[:4], neutral))
    sigma, threshold = torch.where(blurred, in_range[4], 0.0), torch.where(solarized, 0.5, 2.0)  # nothing is above 2
    box = _draw_boxes(u[5:9], size, config)
    return {"box": box, "flipped": flipped, **dict(jitter), "greyed": greyed, "sigma": sigma, "threshold": threshold}


def _draw_boxes(u: Tensor, size: tuple[int, int], config: AugmentConfig) -> Tensor:
    """Random crops (n, 4): top, left, height, width in whole pixels, inside the image."""
    h, w = size
    area = (config.crop[0] + (config.crop[1] - config.crop[0]) * u[0]) * h * w
    # A crop must fit: its ratio is drawn from the wanted range, cut to what the area leaves room for.
    low, high = (area.new_tensor(config.ratio) * (w / h))[:, None].clamp(min=area / h**2, max=w**2 / area).log()
    ratio = torch.lerp(low, high, u[1]).exp()
    limits = torch.tensor([[h], [w]], dtype=area.dtype, device=area.device)
    sides = torch.stack([area / ratio, area * ratio]).sqrt().round().clamp(min=1).minimum(limits)
    corner = (u[2:] * (limits + 1 - sides)).floor()
    return torch.cat([corner, sides]).T.long()


def _augmented(
    images: Tensor, config: AugmentConfig, generator: Generator | None, copies: int, share: tuple[int, int] = (0, 1)
) -> Tensor:
    """Views (copies * n, 3, h, w): `copies` independent ones of each image."""
    instance("config", config, AugmentConfig, "AugmentConfig() is SimCLR's")
    if generator is not None:
        instance("generator", generator, Generator, "torch.Generator().manual_seed(0) makes one")
    h, w = images.shape[-2:]
    if images.device.type == "cpu":
        chunk = max(1, CHUNK // (h * w)) * torch.get_num_threads()
    else:  # all views at once
        images, copies, chunk = images.repeat(copies, 1, 1, 1), 1, copies * len(images)
    n = len(images)
    views = images.new_empty(copies * n, 3, h, w)
    with torch.inference_mode():  # no gradient is wanted, and without one small operations start faster
        drawn = draw_parameters(copies * n, (h, w), config, generator, share)
        drawn = {name: x.to(images if x.is_floating_point() else images.device) for name, x in drawn.items()}
        # Once for all views: an operation on so few numbers costs little more than its start.
        drawn["x"], drawn["y"] = _crop_positions(drawn["box"].to(images), (h, w), drawn["flipped"])
        drawn["hue_turns"] = _hue_turns(drawn["hue"])
        for start in range(0, n, chunk):
            part = images[start : start + chunk]
            _check_range(part, images)  # here, where it brings the part into the cache for what follows
            for copy in range(copies):
                first = copy * n + start
                _apply(part, config, drawn, slice(first, first + len(part)), out=views[first : first + len(part)])
    return views


def _apply(images: Tensor, config: AugmentConfig, drawn: dict[str, Tensor], rows: slice, out: Tensor) -> None:
    """The operations in SimCLR's order, with these rows of what was drawn; what the config never uses is skipped."""
    if config.crop != (1, 1):
        views = _sample(images, drawn["x"][rows], drawn["y"][rows])  # mirrored while it is sampled, at no cost
    else:
        views = horizontal_flip(images, drawn["flipped"][rows])
    # From here on the views are written over in place: memory that is in the cache already is the fastest.
    if config.jitter > 0 and config.brightness > 0:
        adjust_brightness(views, drawn["brightness"][rows], out=views)
    if config.jitter > 0 and config.contrast > 0:
        adjust_contrast(views, drawn["contrast"][rows], out=views)
    if config.jitter > 0 and config.saturation > 0:
        adjust_saturation(views, drawn["saturation"][rows], out=views)
    if config.jitter > 0 and config.hue > 0:
        _turn_hue(views, drawn["hue_turns"][rows], out=views)
    if config.grey > 0:
        greyscale(views, drawn["greyed"][rows], out=views)
    if config.blur > 0:
        gaussian_blur(views, drawn["sigma"][rows], out=views)
    if config.solarize > 0:
        views = solarize(views, drawn["threshold"][rows])
    torch.clamp(views, 0, 1, out=out)  # rounding


def resized_crop(images: Images, box: Int64[Tensor, "n 4"], flipped: Bool[Tensor, " n"] | None = None) -> Images:
    """Cut box (top, left, height, width in pixels) out of each image and resize it, bilinear, to the image's size.

    As torchvision's `resized_crop`, no pixel outside the box is used. Where `flipped` is True the crop is mirrored.
    """
    return _sample(images, *_crop_positions(box.to(images), images.shape[-2:], flipped)).clamp_(0, 1)  # rounding


def _crop_positions(box: Tensor, size: tuple[int, int], flipped: Tensor | None) -> tuple[Tensor, Tensor]:
    """Where the columns (n, w) and the rows (n, h) of each crop look, in grid_sample's [-1, 1]."""
    top, left, height, width = box.T[:, :, None]  # each (n, 1)
    x, y = _positions(left, width, size[1]), _positions(top, height, size[0])
    return (x if flipped is None else torch.where(flipped[:, None], x.flip(1), x)), y


def _positions(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Where `size` outputs of a bilinear resize look: start, length in pixels (n, 1) -> (n, size) in [-1, 1]."""
    start, length = start * (2 / size) - 1, length * (2 / size)
    steps = (torch.arange(size, device=start.device, dtype=start.dtype) + 0.5) / size
    half_pixel = 1 / size
    # No farther out than the centres of the outermost pixels, so that no pixel outside the box is used.
    return torch.addcmul(start, steps, length).clamp_(start + half_pixel, start + length - half_pixel)


def _sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    # (n, 2, h, w): x and y apart in memory are written three times as fast.
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=1)
    return F.grid_sample(images, grid.movedim(1, -1), mode="bilinear", padding_mode="border", align_corners=False)


def horizontal_flip(images: Images, flipped: Bool[Tensor, " n"]) -> Images:
    """Mirror the images where `flipped` is True."""
    return torch.where(_per_image(flipped), images.flip(-1), images)


def adjust_brightness(images: Images, factor: PerImage, out: Tensor | None = None) -> Images:
    """Multiply by `factor` >= 0, one per image: 0 is black, 1 leaves as is. `out` may be `images`."""
    return torch.mul(images, _per_image(factor), out=out).clamp_(0, 1)


def adjust_contrast(images: Images, factor: PerImage, out: Tensor | None = None) -> Images:
    """Scale each pixel's distance from the image's mean grey by `factor` >= 0: 0 is flat. `out` may be `images`."""
    mean_grey = _luma(images.mean(dim=(-2, -1), keepdim=True))  # (n, 1, 1, 1)
    factor = _per_image(factor)
    return torch.mul(images, factor, out=out).add_((1 - factor) * mean_grey).clamp_(0, 1)


def adjust_saturation(images: Images, factor: PerImage, out: Tensor | None = None) -> Images:
    """Scale each pixel's distance from its own grey by `factor` >= 0: 0 is grey. `out` may be `images`."""
    return torch.lerp(_luma(images), images, _per_image(factor), out=out).clamp_(0, 1)


def greyscale(images: Images, greyed: Bool[Tensor, " n"], out: Tensor | None = None) -> Images:
    """Replace the colours of the images where `greyed` is True by their luma. `out` may be `images`."""
    coloured = _per_image(1 - greyed.to(images))
    return torch.lerp(_luma(images), images, coloured, out=out)  # torch.where takes several times as long


def _per_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _luma(images: Tensor) -> Tensor:
    """The grey (n, 1, h, w) of every pixel."""
    red, green, blue = images.split(1, dim=1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def adjust_hue(images: Images, shift: PerImage) -> Images:
    """Turn every pixel's hue by `shift` of the circle, in [-0.5, 0.5]; HSV's saturation and value stay. No gradient."""
    return _turn_hue(images, _hue_turns(shift.to(images))).clamp_(0, 1)  # rounding


def _hue_turns(shift: Tensor) -> Tensor:
    """How far red, turned by `shift`, is ahead of each channel's own hue, (n, 3, 1, 1) in turns."""
    return (shift[:, None] - shift.new_tensor(HUES) + 2)[:, :, None, None]  # plus 2, since frac(-0.1) is -0.1


def _turn_hue(images: Tensor, turns: Tensor, out: Tensor | None = None) -> Tensor:
    """`adjust_hue` by the result of `_hue_turns`; rounding may leave values 1e-6 outside [0, 1]."""
    red, green, blue = images.split(1, dim=1)  # (n, 1, h, w) each
    smallest = images.amin(dim=1, keepdim=True)
    chroma = images.amax(dim=1, keepdim=True).sub_(smallest).clamp_(min=1e-7)
    base = smallest.sub_(chroma)  # a channel's value is this plus chroma times 1 (the smallest) to 2 (the largest)
    # (g + b - r - base) / chroma is 0 at red, rises by 1 with each sixth of the circle to 3 at cyan, and falls again:
    # the distance of the hue from red; the sign of green - blue is its side. No branch on the largest channel, since
    # torch.where is several times slower where its mask changes from pixel to pixel.
    from_red = (green + blue).sub_(red).sub_(base).div_(chroma).copysign_(green - blue)
    # Back to RGB: 1 to 2 is a trapezoid of the hue's distance from the channel's opposite, half a turn from its own.
    from_opposite = torch.add(turns, from_red, alpha=1 / 6, out=out).frac_().sub_(1 / 2).abs_()
    return torch.addcmul(base, from_opposite.clamp_(1 / 6, 1 / 3), chroma, value=6, out=from_opposite)


def gaussian_blur(images: Images, sigma: PerImage, out: Tensor | None = None) -> Images:
    """Blur each image by its own `sigma` in pixels; 0 leaves as is.

    The kernel spans a tenth of the image's height, made odd, as in SimCLR: 3 taps for 32 pixels, 23 for 224, and no
    more than the image can be reflected by at its edges. `out` may be `images`.
    """
    out = images.clone() if out is None else out.copy_(images)
    chosen = sigma.nonzero().flatten()
    h, w = images.shape[-2:]
    radius = min(max(1, h // 20), h - 1, w - 1)
    taps = torch.arange(radius + 1, device=images.device, dtype=images.dtype)  # one side, from the centre outwards
    weights = torch.exp(-0.5 * (taps / sigma[chosen].clamp(min=1e-3)[:, None]) ** 2)
    weights = weights / (2 * weights.sum(dim=1, keepdim=True) - 1)  # (n, radius + 1); the centre counts once
    blurred = F.pad(images.index_select(0, chosen), (radius,) * 4, mode="reflect")
    for axis in (2, 3):
        padded, size = blurred, images.shape[axis]
        blurred = weights[:, 0, None, None, None] * padded.narrow(axis, radius, size)
        for t in range(1, radius + 1):
            both_sides = padded.narrow(axis, radius - t, size) + padded.narrow(axis, radius + t, size)
            blurred.addcmul_(weights[:, t, None, None, None], both_sides)
    out[chosen] = blurred.clamp_(0, 1)
    return out


def solarize(images: Images, threshold: PerImage) -> Images:
    """Invert every value that is at or above the image's `threshold`; above 1 leaves as is."""
    return torch.where(images >= _per_image(threshold), 1 - images, images)
