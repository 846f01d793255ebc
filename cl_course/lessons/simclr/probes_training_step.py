"""The check of `my_training_step`: three steps of tiny networks, what they leave, and one property after the other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.exercise import Fault, NotAttempted, kind_of, same
from cl_course.lessons.shared.ladder import close, constant_relation, number, temperature_relation

IMAGES, TEMPERATURES = 6, (0.2, 0.35, 0.15)  # one temperature a step: a number typed in is no answer
# What autograd says, in its words -> what was observed, in ours.
NO_WAY_BACK = "autograd found no way back from the loss to any weight"
CHANGED_BETWEEN = "a weight was changed between the loss and its backward()"
BACKWARD_TWICE = "backward() was called twice on one loss"
AUTOGRAD_SAYS = {
    "does not require grad": NO_WAY_BACK,
    "modified by an inplace operation": CHANGED_BETWEEN,
    "through the graph a second time": BACKWARD_TWICE,
}
_ORDER = "optimizer.zero_grad(), loss.backward(), optimizer.step(): all three, in this order."


class _TwoModes(nn.Module):
    """Stands for BatchNorm, which answers otherwise in eval mode; but row by row, so that it makes no difference
    whether an attempt sends both views through in one pass or in two."""

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("other", torch.linspace(0.2, 1.8, dim))

    def forward(self, x: Tensor) -> Tensor:
        return x if self.training else x * self.other


class _LoggedSGD(torch.optim.SGD):
    """Plain gradient descent that notes when it is called, and whether there is a gradient to step along."""

    def __init__(self, parameters: list, calls: list[str]):
        super().__init__(parameters, lr=0.3)
        self.calls = calls

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.calls.append("zero_grad")
        super().zero_grad(set_to_none)

    def step(self, closure: Callable | None = None) -> object:
        weights = self.param_groups[0]["params"]
        along = any(w.grad is not None and bool(w.grad.any()) for w in weights)
        self.calls.append("step" if along or closure is not None else "step without a gradient")
        return super().step(closure)


@dataclass
class Run:
    """What three steps did.

    Attributes:
        weights: of each network, before the first step and after each.
        losses: what each step returned; a number as a tensor of shape ().
        calls: of the optimizer and backward, in the last step.
        views: how many rows each call of make_view in the first step got, and what they were.
        passes: (network, rows, mode) of each call of a network in the first step.
    """

    weights: list[dict[str, Tensor]] = field(default_factory=list)
    losses: list = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    views: list[tuple[int, str]] = field(default_factory=list)
    passes: list[tuple[str, int, str]] = field(default_factory=list)

    def moved(self, network: str) -> Tensor:
        return self.weights[1][network] - self.weights[0][network]

    @property
    def idle(self) -> bool:
        return all(same(list(w.values()), list(self.weights[0].values()), 0) for w in self.weights)


class _Views:
    """make_view: the k-th view of an image is the same in whatever order or batches the views are drawn."""

    def __init__(self, images: Tensor, generator: Generator):
        self.images, self.drawn = images, [0] * len(images)
        self.noise = torch.rand(8, *images.shape, generator=generator)
        self.called: list[tuple[int, str]] = []

    def __call__(self, batch: Tensor) -> Tensor:
        known, rows = True, []
        for place, row in enumerate(batch):
            match = [i for i, image in enumerate(self.images) if image.shape == row.shape and torch.equal(image, row)]
            known &= bool(match)
            index = match[0] if match else place % len(self.images)
            rows.append((row + 0.5 * self.noise[self.drawn[index] % 8, index]) / 1.5)
            self.drawn[index] += 1
        self.called.append((len(rows), "images" if known else "something else than the images"))
        return torch.stack(rows)


def run(step: Callable, temperatures: tuple[float, ...] = TEMPERATURES) -> Run:
    """One step for each temperature, always from the same weights, images and views."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Tanh(), _TwoModes(6))
        projector = nn.Sequential(nn.Linear(6, 6), _TwoModes(6), nn.ReLU(), nn.Linear(6, 4))
    with torch.no_grad():
        encoder[1].weight.mul_(5)  # so that the images' embeddings lie apart
    networks = {"encoder": encoder, "projector": projector}
    seen, nothing = Run([_flat(networks)]), True
    optimizer = _LoggedSGD([w for network in networks.values() for w in network.parameters()], seen.calls)
    # In both networks, since a wrong loss may reach only one of them.
    for weight in (encoder[1].weight, projector[3].weight):
        weight.register_hook(partial(_note_backward, seen.calls))
    for name, network in networks.items():
        network.register_forward_pre_hook(partial(_note_pass, seen, name))
    generator = Generator().manual_seed(0)
    for temperature in temperatures:
        images = torch.rand(IMAGES, 3, 4, 4, generator=generator)
        make_view, given = _Views(images, generator), images.clone()
        encoder.eval(), projector.eval()  # as a kNN check leaves them
        seen.calls.clear()
        answer = step(given, make_view, encoder, projector, optimizer, temperature)
        if not torch.equal(given, images):
            raise Fault("you changed the images in place: the caller's tensor is altered. Make a new tensor.")
        nothing &= answer is None or answer is ...
        seen.losses.append(_loss(answer))
        if len(seen.weights) == 1:
            seen.views = make_view.called
        seen.weights.append(_flat(networks))
    if nothing and seen.idle and not seen.calls:
        raise NotAttempted
    return seen


def _loss(answer: object) -> object:
    """A number as a tensor of shape (), another tensor as it came, anything else by its name."""
    if isinstance(answer, tuple | list | str) or answer is None:
        return kind_of(answer)
    value = number(answer)
    if value is not None:
        return torch.tensor(value)
    return answer.detach() if isinstance(answer, Tensor) else kind_of(answer)


def _note_backward(calls: list[str], _: Tensor) -> None:
    calls.append("backward")


def _note_pass(seen: Run, name: str, network: nn.Module, given: tuple) -> None:
    if len(seen.weights) == 1:  # in the first step
        seen.passes.append((name, len(given[0]), "training" if network.training else "eval"))


def _flat(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {name: torch.cat([w.detach().flatten() for w in net.parameters()]).clone() for name, net in networks.items()}


def observe(attempt: Callable) -> object:
    """All weights after each step, and what was returned; a text where autograd refused.

    Raises:
        Fault: no weight moves, which the calls explain.
    """
    try:
        seen = run(attempt)
    except RuntimeError as error:
        found = next((said for words, said in AUTOGRAD_SAYS.items() if words in str(error)), None)
        if found is None:
            raise
        return found
    if seen.idle:
        raise Fault(f"no weight moves. {_why_idle(seen.calls)}")
    return [[list(weights.values()) for weights in seen.weights], seen.losses]


def _why_idle(calls: list[str]) -> str:
    """What the calls of one step tell by themselves."""
    stepped = [place for place, call in enumerate(calls) if call.startswith("step")]
    if "backward" not in calls:
        return f"backward() never computes a gradient of the networks' weights. It takes {_ORDER}"
    if not stepped:
        return f"optimizer.step() is never called: the gradient is computed and then not used. It takes {_ORDER}"
    if stepped[0] < calls.index("backward"):
        return f"optimizer.step() comes before loss.backward(), so it has no gradient to step along. It takes {_ORDER}"
    if "zero_grad" in calls[calls.index("backward") : stepped[0]]:
        return (
            f"zero_grad() comes between backward() and step(): it clears the gradient just computed. It takes {_ORDER}"
        )
    if calls[stepped[0]] == "step without a gradient":
        return (
            "backward() computes a gradient, and step() finds none: what stands between the two has cleared it. "
            f"It takes {_ORDER}"
        )
    return f"backward() and step() are both called; yet the weights are as before. It takes {_ORDER}"


# Wrong, and no known mistake: one property after the other.
def ladder(right: Callable) -> tuple[Callable[[Callable], str | None], ...]:
    """The probes, given the course's own step."""

    def refused(attempt: Callable) -> str | None:
        return f"{seen}." if isinstance(seen := observe(attempt), str) else None

    def which_views(attempt: Callable) -> str | None:
        views = run(attempt).views
        strange = [what for _, what in views if what != "images"]
        rows = sum(rows for rows, _ in views)
        if strange:
            return f"in one step make_view is called on {strange[0]}: both views are made from the images as they came."
        if rows != 2 * IMAGES:
            return (
                f"for {IMAGES} images make_view draws {rows} views in {len(views)} call{'s' * (len(views) != 1)}; "
                f"expected {2 * IMAGES}, two of each image."
            )
        return None

    def which_passes(attempt: Callable) -> str | None:
        passes = run(attempt).passes
        for name in ("encoder", "projector"):
            rows = [rows for network, rows, _ in passes if network == name]
            modes = {mode for network, _, mode in passes if network == name}
            if sum(rows) != 2 * IMAGES:
                got = (
                    f"gets {sum(rows)} rows in {len(rows)} call{'s' * (len(rows) != 1)}" if rows else "is never called"
                )
                return f"with {IMAGES} images the {name} {got}; expected {2 * IMAGES} rows, two views of each image."
            if "eval" in modes:
                return f"the {name} is in eval mode when it is called: put it into training mode first."
        return None

    def first_loss(attempt: Callable) -> str | None:
        """Before any weight has moved, so that only views, embeddings and loss count."""

        def at(step: Callable, temperature: float) -> float | None:
            loss = run(step, (temperature,)).losses[0]
            return None if isinstance(loss, str) else number(loss)

        temperatures = (0.2, 0.5, 1.0)
        mine, expected = ([at(step, t) for t in temperatures] for step in (attempt, right))
        if None in mine or all(close(m, e) for m, e in zip(mine, expected)):
            return None
        relation = constant_relation(mine, expected, "loss") or temperature_relation(
            mine, lambda t: at(right, t), temperatures
        )
        return "before any weight has moved, " + (
            relation or f"at T = 0.2 your loss is {mine[0]:.4f}; that of nt_xent on these views is {expected[0]:.4f}."
        )

    def how_far(attempt: Callable) -> str | None:
        mine, expected = run(attempt), run(right)
        for name in ("encoder", "projector"):
            a, b = mine.moved(name), expected.moved(name)
            if same(a, b):
                continue
            if not a.any():
                return f"in the first step the {name}'s weights do not move. Both networks learn."
            cosine = float(F.cosine_similarity(a, b, dim=0))
            times = float(a.norm() / b.norm())
            way = "in the right direction" if cosine > 0.9999 else "in the opposite direction"
            if abs(cosine) > 0.9999:
                return f"in the first step the {name}'s weights move {way}, {times:.3g} times as far as they should."
            return (
                f"in the first step the {name}'s weights move in another direction than along the gradient of "
                f"nt_xent(z1, z2, temperature): the cosine between the two is {cosine:.2f}."
            )
        return None

    def later_steps(attempt: Callable) -> str | None:
        mine, expected = run(attempt), run(right)
        for step, (a, b) in enumerate(zip(mine.weights, expected.weights)):
            if not same(list(a.values()), list(b.values())):
                return (
                    f"after {step - 1} of {len(TEMPERATURES)} steps the weights are right, after {step} they are not. "
                    "The steps differ in their images, their temperature and what earlier steps left, such as "
                    f"gradients. In the last step these were called: {', '.join(mine.calls)}."
                )
        return None

    def returned(attempt: Callable) -> str | None:
        mine = run(attempt).losses[0]
        if isinstance(mine, Tensor) and mine.numel() == 1:
            return None
        came = mine if isinstance(mine, str) else f"a tensor of shape {tuple(mine.shape)}"
        return f"{came} comes back: return the loss of this step, one number."

    return refused, which_views, which_passes, first_loss, how_far, later_steps, returned
