"""The check of `my_byol_step`: three steps of tiny networks, what they leave, and one property after the other."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from cl_course.lessons.shared.exercise import NotAttempted, kind_of, same
from cl_course.lessons.shared.ladder import close

STEPS, IMAGES, MOMENTUM = 3, 6, 0.7
BOTH_VIEWS = "view1 and view2 together", "view2 and view1 together"
# What autograd says, in its words -> what was observed, in ours.
NO_WAY_BACK = "autograd found no way back from the loss to any weight"
CHANGED_BETWEEN = "a weight was changed between the loss and its backward()"
BACKWARD_TWICE = "backward() was called twice on one loss"
AUTOGRAD_SAYS = {
    "does not require grad": NO_WAY_BACK,
    "modified by an inplace operation": CHANGED_BETWEEN,
    "through the graph a second time": BACKWARD_TWICE,
}


@dataclass
class Run:
    """What three steps did.

    Attributes:
        weights: of each part of the networks, before the first step and after each.
        losses, kept: what each step returned, as a number and by name; a text in `losses` where no pair came back.
        calls: of the first step, which part was called on what, in this order.
    """

    weights: list[dict[str, Tensor]] = field(default_factory=list)
    losses: list = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def moved(self, part: str, step: int = 1) -> Tensor:
        return self.weights[step][part] - self.weights[step - 1][part]


@contextmanager
def one_thread() -> Iterator[None]:
    """For tiny networks: several threads would only wait for each other, twenty times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def run(step: Callable) -> Run:
    """Three steps, always from the same weights and views; the target starts elsewhere than the online network."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        online = nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Tanh()), nn.Linear(6, 4))
        predictor = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        target = copy.deepcopy(online)
        with torch.no_grad():
            for weight in target.parameters():
                weight.add_(0.2 * torch.randn(weight.shape))
    parts = {
        "online encoder": online[0],
        "online projector": online[1],
        "predictor": predictor,
        "target encoder": target[0],
        "target projector": target[1],
    }
    # Of all networks, the target as well: a gradient that reaches it then shows in what it does.
    optimizer = torch.optim.SGD([p for part in parts.values() for p in part.parameters()], lr=0.3)
    seen, views = Run([_flat(parts)]), []

    def note(name: str) -> Callable:
        def called(_: nn.Module, given: tuple) -> None:
            if len(seen.weights) == 1:  # in the first step
                seen.calls.append((name, _named(given[0], views)))

        return called

    for name, part in parts.items():
        part.register_forward_pre_hook(note(name))
    nothing = True
    for view1, view2 in torch.rand(STEPS, 2, IMAGES, 3, 2, 8, generator=Generator().manual_seed(0)):
        views[:] = view1, view2
        answer = step(view1.clone(), view2.clone(), online, predictor, target, optimizer, MOMENTUM)
        nothing &= answer is None or answer is ...
        loss, kept = _returned(answer, parts | {"online": online, "target": target})
        seen.losses.append(loss)
        seen.kept.append(kept)
        seen.weights.append(_flat(parts))
    if nothing and all(same(list(w.values()), list(seen.weights[0].values()), 0) for w in seen.weights):
        raise NotAttempted
    return seen


def _flat(parts: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {name: torch.cat([w.detach().flatten() for w in part.parameters()]).clone() for name, part in parts.items()}


def _named(given: Tensor, views: list[Tensor]) -> str:
    """Which of the views a network is called on; a part behind another gets its rows counted."""
    both = torch.cat(views), torch.cat(views[::-1])
    known = {"view1": views[0], "view2": views[1]} | dict(zip(BOTH_VIEWS, both))
    found = next((name for name, view in known.items() if given.shape == view.shape and torch.equal(given, view)), "")
    return found or (f"{len(given)} other images" if given.ndim == 4 else f"{len(given)} rows")


def _counted(given: list[str]) -> str:
    """["view1", "view2", "view1"] -> "view1 (2 times), view2"."""
    return ", ".join(
        f"{name} ({given.count(name)} times)" if given.count(name) > 1 else name for name in sorted(set(given))
    )


def _returned(answer: object, networks: dict[str, nn.Module]) -> tuple[object, str]:
    """The loss as a number and the network's name; where no two things came back, a text that says so, twice."""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        came = f"{len(answer)} values" if isinstance(answer, tuple | list) else "one value"
        came = "nothing" if answer is None else "a network alone" if isinstance(answer, nn.Module) else came
        return f"{came} came back", came
    loss, kept = answer
    try:
        loss = torch.as_tensor(loss).detach().double()
        loss = loss.reshape(()) if loss.numel() == 1 else loss
    except (TypeError, ValueError, RuntimeError):
        loss = kind_of(loss)
    return loss, _name_of(kept, networks)


def _name_of(kept: object, networks: dict[str, nn.Module]) -> str:
    """By its weights, so that a copy or a slice of a network is known as well."""
    if isinstance(kept, nn.Module):
        mine = list(kept.parameters())
        for name, network in networks.items():
            if same(mine, list(network.parameters()), 0):
                return name
    return kind_of(kept)


def observe(attempt: Callable) -> object:
    """All weights after each step, and what was returned; a text where autograd refused."""
    try:
        seen = run(attempt)
    except RuntimeError as error:
        found = next((said for words, said in AUTOGRAD_SAYS.items() if words in str(error)), None)
        if found is None:
            raise
        return found
    return [[list(weights.values()) for weights in seen.weights], seen.losses, seen.kept]


# Wrong, and no known mistake: one property after the other.
def ladder(right: Callable, one_direction: dict[str, Callable]) -> tuple[Callable[[Callable], str | None], ...]:
    """The probes, given the course's own step, and that step with one direction alone in its loss, by name."""

    def refused(attempt: Callable) -> str | None:
        return f"{seen}." if isinstance(seen := observe(attempt), str) else None

    def who_was_called(attempt: Callable) -> str | None:
        mine, expected = run(attempt).calls, run(right).calls
        for parts in (("online encoder", "target encoder"), ("online projector", "predictor", "target projector")):
            shown = []
            for part in parts:
                of_part = [given for name, given in mine if name == part]
                wanted = [given for name, given in expected if name == part]
                at_once = len(of_part) == 1 and of_part[0] in (*BOTH_VIEWS, f"{2 * IMAGES} rows")
                if sorted(of_part) != sorted(wanted) and not at_once:
                    called = f"called on {_counted(of_part)}" if of_part else "never called"
                    shown.append(f"the {part} is {called} (expected: on {_counted(wanted)})")
            if shown:
                return f"in the first step {'; '.join(shown)}."
        return None

    def loss_of_first_step(attempt: Callable) -> str | None:
        mine, expected = run(attempt).losses[0], float(run(right).losses[0])
        if isinstance(mine, str) or mine.numel() != 1 or close(float(mine), expected):
            return None
        times = float(mine) / expected
        told = f", {times:.3g} times it" if any(close(times, t) for t in (0.25, 0.5, 2, 4, -1)) else ""
        return (
            f"the loss that you return for the first step, before any weight has moved, is {float(mine):.4f}; "
            f"expected {expected:.4f}{told}. It is byol_loss(p1, target2) + byol_loss(p2, target1)."
        )

    def who_moved(attempt: Callable) -> str | None:
        mine, expected = run(attempt), run(right)
        still = [part for part in expected.weights[0] if not mine.moved(part).any()]
        if still:
            return (
                f"after the first step these weights are where they were: {', '.join(still)}. All of them should move."
            )
        return None

    def how_the_target_moved(attempt: Callable) -> str | None:
        mine = run(attempt)
        for part in ("encoder", "projector"):
            before, after = (mine.weights[step][f"target {part}"] for step in (0, 1))
            for when, step in (("at the end of", 1), ("at the beginning of", 0)):
                known = torch.stack([before, mine.weights[step][f"online {part}"]], dim=1)
                shares = torch.linalg.lstsq(known, after[:, None]).solution[:, 0]
                if same(known @ shares, after) and not (step == 1 and same(shares, [MOMENTUM, 1 - MOMENTUM], 1e-3)):
                    return (
                        f"the target's {part} becomes {shares[0]:.2f} times itself plus {shares[1]:.2f} times the "
                        f"online network as it is {when} the step; at momentum {MOMENTUM} it should become "
                        f"{MOMENTUM:.2f} times itself plus {1 - MOMENTUM:.2f} times the online network at its end."
                    )
        return None

    def how_far_they_moved(attempt: Callable) -> str | None:
        mine, expected = run(attempt), run(right)
        for part in ("online encoder", "online projector", "predictor"):
            moved, should = mine.moved(part), expected.moved(part)
            times = float(moved @ should / (should @ should))
            if not same(moved, should) and same(moved, times * should):
                return f"in the first step the weights of the {part} move {times:.3g} times as far as they should."
        return None

    def as_if_one_direction(attempt: Callable) -> str | None:
        mine = run(attempt)
        for pair, alone in one_direction.items():
            moved = run(alone)
            if all(same(mine.moved(part), moved.moved(part)) for part in ("online encoder", "online projector")):
                return (
                    f"in the first step the online network moves as if {pair} alone were in the loss: from the other "
                    "direction no gradient reaches it."
                )
        return None

    def where_it_goes_wrong(attempt: Callable) -> str | None:
        mine, expected = run(attempt), run(right)
        for step in range(1, STEPS + 1):
            wrong = [part for part, w in expected.weights[step].items() if not same(mine.weights[step][part], w)]
            if wrong and step == 1:
                return f"after the first step these weights are not the expected ones: {', '.join(wrong)}."
            if wrong:
                return (
                    f"after step {step - 1} all weights are right, after step {step} these are not: "
                    f"{', '.join(wrong)}. Look for what one step leaves to the next, such as gradients."
                )
        return None

    def what_is_returned(attempt: Callable) -> str | None:
        mine = run(attempt)
        if isinstance(mine.losses[0], str) and mine.losses[0].endswith("values"):
            return (
                f"the weights are right, but {mine.losses[0]} came back: return the loss and online[0], in this order."
            )
        return (
            f"the weights are right. You return as loss {_shown(mine.losses[0])} in the first step, expected "
            f"{_shown(run(right).losses[0])}, and as encoder {mine.kept[0]}, expected the online encoder, online[0]."
        )

    return (
        refused,
        who_was_called,
        loss_of_first_step,
        who_moved,
        how_the_target_moved,
        how_far_they_moved,
        as_if_one_direction,
        where_it_goes_wrong,
        what_is_returned,
    )


def _shown(loss: object) -> str:
    return f"{float(loss):.4f}" if isinstance(loss, Tensor) and loss.numel() == 1 else str(loss)
