"""Lesson 03: the learner's `my_features(encoder, projector, images)`: what is kept of a trained network."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.exercise import Exercise, Fault, Mistake, call, kind_of, same
from cl_course.lessons.shared.ladder import written

NAME = "my_features"


# The right way, in parts that can each be done in a wrong way.
def eval_mode(encoder: nn.Module, projector: nn.Module) -> None:
    encoder.eval()


def h_of(encoder: nn.Module, projector: nn.Module, images: Tensor) -> Tensor:
    return encoder(images)


def as_before(encoder: nn.Module, was_training: bool) -> None:
    encoder.train(was_training)


def make(
    mode: Callable = eval_mode,
    output: Callable = h_of,
    gradient: bool = False,
    restore: Callable = as_before,
    result: Callable = lambda h: h,
) -> Callable:
    def features(encoder, projector, images):
        was_training = encoder.training
        mode(encoder, projector)
        with torch.set_grad_enabled(gradient):
            h = output(encoder, projector, images)
        restore(encoder, was_training)
        return result(h)

    return features


right = make()
IMAGES = torch.rand(6, 3, 2, 2, generator=Generator().manual_seed(0))


def networks(training: bool) -> tuple[nn.Module, nn.Module]:
    """A tiny encoder and projector with BatchNorm whose running statistics are not those of IMAGES."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.Tanh())
        projector = nn.Sequential(nn.Linear(5, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4))
        for norm in (encoder[2], projector[1]):
            norm.running_mean.copy_(torch.randn(5))
            norm.running_var.copy_(0.5 + torch.rand(5))
    return encoder.train(training), projector.train(training)


def _taken(attempt: Callable, training: bool, images: Tensor | None = None) -> tuple[Tensor, nn.Module]:
    """(features, encoder afterwards) of an encoder that comes in this mode.

    Raises:
        Fault: the images are changed, or no tensor came back.
    """
    encoder, projector = networks(training)
    images = IMAGES if images is None else images
    given = images.clone()
    answer = call(lambda: attempt(encoder, projector, given))
    if not torch.equal(given, images):
        raise Fault("you changed the images in place: the caller's tensor is altered. Make a new one.")
    if isinstance(answer, list | tuple) and answer and all(isinstance(part, Tensor) for part in answer):
        try:
            answer = torch.stack(list(answer))
        except RuntimeError:
            raise Fault(f"{kind_of(answer)} of {len(answer)} things came back: return h alone.") from None
    try:
        return torch.as_tensor(answer), encoder
    except (TypeError, ValueError, RuntimeError):
        raise Fault(f"{kind_of(answer)} came back, where features (n, d) are expected.") from None


def observe(attempt: Callable) -> list[object]:
    """For an encoder in training mode and one in eval mode: features, their graph, running statistics, mode."""
    seen = []
    for training in (True, False):
        h, encoder = _taken(attempt, training)
        seen += [h.detach(), encoder[2].running_mean, encoder[2].running_var]
        seen += [f"graph: {h.requires_grad}", f"modes: {[part.training for part in encoder.modules()]}"]
    return seen


_MODE = (
    "the encoder is in training mode when it looks at the images: each image's features then depend on the batch, and "
    "its running statistics move. Call encoder.eval() first."
)
_LEFT = (
    "you leave the encoder in {mode} mode, in which it may not have come: note encoder.training first, and put it back."
)

MISTAKES = (
    Mistake(_MODE, {"mode": lambda encoder, projector: None}),
    Mistake(
        "the encoder is put into training mode: there each image's features depend on the batch. Call encoder.eval().",
        {"mode": lambda encoder, projector: encoder.train()},
    ),
    Mistake(
        "z comes back: keep h = encoder(images). z has gone through the projector, which forgets more.",
        {
            "mode": lambda encoder, projector: (encoder.eval(), projector.eval()),
            "output": lambda f, g, x: g(f(x)),
        },
    ),
    Mistake(
        "z comes back, and the projector is not in eval mode: keep h = encoder(images).",
        {"output": lambda f, g, x: g(f(x))},
    ),
    Mistake(
        "the projector is called on the images: h = encoder(images).",
        {"output": lambda f, g, x: g(x)},
    ),
    Mistake(
        "the features keep their graph, and all activations with it: compute them under torch.no_grad().",
        {"gradient": True},
    ),
    Mistake(_LEFT.format(mode="eval"), {"restore": lambda encoder, was: None}),
    Mistake(_LEFT.format(mode="training"), {"restore": lambda encoder, was: encoder.train()}),
    Mistake(
        "the mode is put back the wrong way round: encoder.train(was_training).",
        {"restore": lambda encoder, was: encoder.train(not was)},
    ),
    Mistake("only the first image's features come back: return all, (n, d).", {"result": lambda h: h[0]}),
    Mistake(
        "the features are averaged over the images: return one row for each image.", {"result": lambda h: h.mean(0)}
    ),
    Mistake(
        "h comes back with each row's length made 1. Return it as the encoder gives it.",
        {"result": lambda h: F.normalize(h, dim=1)},
    ),
    Mistake(
        "BatchNorm gets one image at a time in training mode, and refuses: encoder.eval() is missing.",
        {
            "mode": lambda encoder, projector: None,
            "output": lambda f, g, x: torch.cat([f(image[None]) for image in x]),
        },
    ),
)


# What a right answer must also do.
def can_still_learn(attempt: Callable) -> str | None:
    _, encoder = _taken(attempt, True)
    if all(weight.requires_grad for weight in encoder.parameters()):
        return None
    return (
        "the features are right, but the encoder's weights no longer require a gradient, so it cannot be trained any "
        "further. Leave requires_grad as it is, and compute the features under torch.no_grad()."
    )


# Wrong, and no known mistake.
def shape(attempt: Callable) -> str | None:
    h, _ = _taken(attempt, training=True)
    if h.shape == (6, 5):
        return None
    return f"for 6 images and an encoder of 5 features your answer has the shape {tuple(h.shape)}; expected (6, 5)."


def depends_on_the_batch(attempt: Callable) -> str | None:
    together, _ = _taken(attempt, True)
    others, _ = _taken(attempt, True, torch.cat([IMAGES[:1], 1 - IMAGES[1:]]))
    if together.shape != (6, 5) or others.shape != (6, 5) or same(together[0], others[0]):
        return None
    return (
        f"the first row of your answer is {written(_rounded(together[0]))}; with five other images beside the "
        f"first it is {written(_rounded(others[0]))}. An image's features must depend on that image alone."
    )


def _rounded(h: Tensor) -> list[float]:
    return [round(float(value), 3) for value in h]


def statistics_move(attempt: Callable) -> str | None:
    _, encoder = _taken(attempt, True)
    before = networks(True)[0][2].running_mean
    if same(encoder[2].running_mean, before):
        return None
    return (
        "BatchNorm's running mean has changed: it goes from "
        f"{written(_rounded(before))} to {written(_rounded(encoder[2].running_mean))}. Reading features must not "
        "change the network."
    )


def mode_afterwards(attempt: Callable) -> str | None:
    for training in (True, False):
        _, encoder = _taken(attempt, training)
        modes = [part.training for part in encoder.modules()]
        if modes != [training] * len(modes):
            came, left = ("training" if m else "eval" for m in (training, modes[0]))
            parts = "" if modes[0] != training else ", but some of its layers do not"
            return f"an encoder that comes in {came} mode leaves in {left} mode{parts}: leave it as it came."
    return None


def has_graph(attempt: Callable) -> str | None:
    return (
        "the features have a graph: compute them under torch.no_grad()."
        if _taken(attempt, True)[0].requires_grad
        else None
    )


def values(attempt: Callable) -> str | None:
    h, expected = _taken(attempt, True)[0], _taken(right, True)[0]
    if h.shape != expected.shape or same(h, expected):
        return None
    return (
        f"for the first of 6 images your features are {written(_rounded(h[0]))}; encoder(images) in eval mode gives "
        f"{written(_rounded(expected[0]))}."
    )


features = Exercise(
    name=NAME,
    observe=observe,
    make=make,
    mistakes=MISTAKES,
    praise="h, of each image alone, without a graph; and the encoder is as it was.",
    demands=(can_still_learn,),
    ladder=(shape, statistics_move, depends_on_the_batch, values, has_graph, mode_afterwards),
)
