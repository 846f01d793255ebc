"""Lesson 02: the learner's `my_nt_xent(z1, z2, temperature)`."""

from collections.abc import Callable
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cl_course import losses
from cl_course.lessons.shared.exercise import Mistake, call, compare, failed, same

EXERCISE = "my_nt_xent"
PRAISE = "equal to the course's nt_xent at every batch size and temperature tried, and finite at T = 0.01."

NO_EFFECT = "the temperature has no effect: the answer is that of T = 1. "
FORGOTTEN = NO_EFFECT + "It is forgotten: divide the similarities by it before the softmax."
CANCELLED = (
    NO_EFFECT
    + "You divide by it before normalising, and normalising undoes that: make the lengths 1 first, then divide the similarities."
)
NOT_FINITE = (
    "right at ordinary temperatures, but at T = 0.01 it is not finite: exp(1 / T) is larger than a float32 can hold. "
    "Let F.cross_entropy or torch.logsumexp take the exponentials, they subtract the largest logit first."
)
UNDERFLOW = "right, until at T = 0.01 a partner is farther than a negative: its probability underflows to 0, and log(0) is not finite. Give the logits to F.cross_entropy, F.log_softmax or torch.logsumexp; never log(softmax)."
WEAK_MASK = "your diagonal is masked with a number that is not small enough: at T = 0.01 logits reach -100, and the view itself wins again. Mask with -torch.inf."
IN_PLACE = "you changed z1 or z2 in place: the caller's embeddings are altered, and autograd refuses it. Make new tensors, z = F.normalize(...) instead of z /= ..."
NO_GRADIENT = "the value is right, but its gradient does not reach z1 and z2 whole, so training would go wrong: keep every step in torch, without .item(), float() or .detach()."


def nt_xent(attempt: Callable[[Tensor, Tensor, float], Tensor]) -> None:
    """Check an NT-Xent on batches of 3 to 6 images and temperatures from 0.01 to 2; name the mistake if there is one."""

    def guarded(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
        """inf, -inf and nan are the same mistake, whichever the attempt happens to reach."""
        answer = call(attempt, z1, z2, temperature)
        answer = torch.as_tensor(answer) if isinstance(answer, float | int) else answer
        return (
            torch.full_like(answer, torch.nan) if isinstance(answer, Tensor) and not answer.isfinite().all() else answer
        )

    # Candidates all far from the view, then a partner farther than the rest: where a weak mask wins, and log(softmax) is -inf.
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    extreme = [(corners[:2], corners[2:], 0.01), (torch.ones(3, 3), -torch.ones(3, 3), 0.01)]
    ordinary = [_views(3, 0.5), _views(4, 0.2), _views(6, 2.0)]
    cold = _views(4, 0.01, noise=0.1)  # partners so near that exp(s / T) overflows
    if _writes_into_its_arguments(attempt, *ordinary[0]):
        return failed(EXERCISE, IN_PLACE)
    if not _agree(guarded, ordinary):
        return compare(EXERCISE, guarded, _reference, ordinary, _mistakes(guarded), PRAISE)
    if _agree(guarded, [cold]):
        if not same(_gradient(attempt, *ordinary[0]), _gradient(_reference, *ordinary[0])):
            return failed(EXERCISE, NO_GRADIENT)
        mistakes = [Mistake(sentence, code) for sentence, code in _EXTREME]
        return compare(EXERCISE, guarded, _reference, [*ordinary, cold, *extreme], mistakes, PRAISE)
    return compare(
        EXERCISE, guarded, _reference, [*ordinary, cold], [Mistake(NOT_FINITE, _not_finite_when_cold)], PRAISE
    )


def _views(n: int, temperature: float, noise: float = 0.7) -> tuple[Tensor, Tensor, float]:
    """Embeddings of n images whose lengths differ, but not so much that forgotten normalising would overflow."""
    generator = Generator().manual_seed(n)
    z1 = torch.randn(n, 5, generator=generator)
    z2 = z1 + noise * torch.randn(n, 5, generator=generator)
    lengths = 0.6 + torch.rand(2, n, 1, generator=generator)
    return F.normalize(z1, dim=1) * lengths[0], F.normalize(z2, dim=1) * lengths[1], temperature


def _reference(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    return losses.nt_xent(z1, z2, temperature)


def _agree(attempt: Callable, inputs: list[tuple]) -> bool:
    try:
        return all(same(attempt(*arguments), _reference(*arguments)) for arguments in inputs)
    except Exception:  # `compare` runs the attempt again and says what it raised
        return False


def _gradient(loss: Callable, z1: Tensor, z2: Tensor, temperature: float) -> Tensor | None:
    """d loss / d z, (2n, d); None where the way back is cut."""
    z = torch.cat([z1, z2]).requires_grad_()
    try:
        return torch.autograd.grad(loss(*z.clone().chunk(2), temperature), z)[0]
    except Exception:  # the loss is a number, or turned into one on the way
        return None


def _not_finite_when_cold(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    return torch.tensor(torch.nan) if temperature == 0.01 else _reference(z1, z2, temperature)


def _mistakes(attempt: Callable) -> list[Mistake]:
    """Every known wrong answer, the simplest explanation first."""
    no_effect = CANCELLED if _divides_embeddings(attempt) else FORGOTTEN
    return [
        Mistake(
            "your diagonal is not masked: each view is its own easiest match. Set the diagonal of the logits to -inf before the softmax.",
            _diagonal_kept,
        ),
        Mistake(
            "your diagonal is masked with 0, and exp(0) = 1 still counts as a candidate. Set it to -inf.",
            _diagonal_zero,
        ),
        Mistake(no_effect, lambda z1, z2, t: _reference(z1, z2, 1.0)),
        Mistake(
            "you multiply by the temperature: divide, so that a small one makes the softmax sharper.",
            lambda z1, z2, t: _reference(z1, z2, 1 / t),
        ),
        Mistake(
            "the temperature counts twice: dividing both embeddings by it divides their product by its square. Divide the similarities, once.",
            lambda z1, z2, t: _reference(z1, z2, t * t),
        ),
        *(
            Mistake(
                "the partner is at the wrong offset: view i of 2n has its partner n places on, at (i + n) modulo 2n.", f
            )
            for f in _WRONG_PARTNERS
        ),
        *(
            Mistake(
                "one direction only: the views in z1 look for their partner, those in z2 do not. Average over all 2n views.",
                f,
            )
            for f in _ONE_DIRECTION
        ),
        Mistake(
            "half of the candidates are missing: you compare z1 with z2 alone. The other views on a view's own side are negatives too, 2n - 1 candidates in all.",
            lambda z1, z2, t: (_across(z1, z2, t) + _across(z2, z1, t)) / 2,
        ),
        Mistake(
            "a sum where the mean belongs: divide by the number of views, 2n.",
            lambda z1, z2, t: 2 * len(z1) * _reference(z1, z2, t),
        ),
        Mistake(
            "twice too large: the natural scale is one view, and there are 2n of them. Divide by 2n, not by n.",
            lambda z1, z2, t: 2 * _reference(z1, z2, t),
        ),
        Mistake(
            "twice too small: average the 2n views once, or the two directions, but not both.",
            lambda z1, z2, t: _reference(z1, z2, t) / 2,
        ),
        Mistake(
            "divided by 2n twice: the mean has done it already.",
            lambda z1, z2, t: _reference(z1, z2, t) / (2 * len(z1)),
        ),
        Mistake("one value for each view came back: average them into one number.", lambda z1, z2, t: _rows(z1, z2, t)),
        Mistake(
            "the embeddings are not normalised: their lengths must not count. Make each row's length 1 with F.normalize(z, dim=1).",
            _not_normalised,
        ),
        Mistake("normalised along the wrong dimension: each row is an embedding, so dim=1.", _columns_normalised),
        Mistake(
            "not finite at any temperature. The usual cause: the target of view i is i itself, whose logit is -inf; its partner is at (i + n) modulo 2n.",
            lambda z1, z2, t: torch.tensor(torch.nan),
        ),
        Mistake(
            "the sign is turned round: the loss is minus the logarithm of the partner's probability.",
            lambda z1, z2, t: -_reference(z1, z2, t),
        ),
        Mistake(
            "your sum leaves the partner out: it runs over all k except i, the partner among them.", _partner_left_out
        ),
    ]


def _divides_embeddings(attempt: Callable) -> bool:
    """Are embeddings divided before normalising? At T = 1e-40 they would be infinite; a forgotten T harms nothing."""
    z1, z2, _ = _views(3, 0.5)
    try:
        return not bool(torch.as_tensor(attempt(z1, z2, 1e-40)).isfinite().all())
    except Exception:  # `compare` says what it raised
        return False


# The exercise done in wrong ways. Written out rather than read off the right one, so that each shows its mistake.
def _logits(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    return z @ z.T / temperature


def _loss(logits: Tensor, offset: int | None = None) -> Tensor:
    partner = torch.arange(len(logits)).roll(len(logits) // 2 if offset is None else offset)
    return F.cross_entropy(logits, partner)


def _rows(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    logits = _logits(z1, z2, temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(logits)).roll(len(z1)), reduction="none")


def _across(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """n candidates: the other side's views alone."""
    return F.cross_entropy(F.normalize(z1, dim=1) @ F.normalize(z2, dim=1).T / temperature, torch.arange(len(z1)))


def _diagonal_kept(z1, z2, temperature):
    return _loss(_logits(z1, z2, temperature))


def _diagonal_zero(z1, z2, temperature):
    return _loss(_logits(z1, z2, temperature).fill_diagonal_(0))


def _not_normalised(z1, z2, temperature):
    z = torch.cat([z1, z2])
    return _loss((z @ z.T / temperature).fill_diagonal_(-torch.inf))


def _columns_normalised(z1, z2, temperature):
    z = F.normalize(torch.cat([z1, z2]), dim=0)
    return _loss((z @ z.T / temperature).fill_diagonal_(-torch.inf))


def _partner_left_out(z1, z2, temperature):
    logits = _logits(z1, z2, temperature).fill_diagonal_(-torch.inf)
    partner = torch.eye(len(logits), dtype=torch.bool).roll(len(z1), dims=1)
    return (logits.masked_fill(partner, -torch.inf).logsumexp(dim=1) - logits[partner]).mean()


def _wrong_partner(offset: Callable[[int], int], masked: bool = True) -> Callable:
    def wrong(z1, z2, temperature):
        logits = _logits(z1, z2, temperature)
        return _loss(logits.fill_diagonal_(-torch.inf) if masked else logits, offset(len(z1)))

    return wrong


def _interleaved(z1, z2, temperature):
    """Right for views in the order a1 b1 a2 b2, not for a1 a2 ... b1 b2 ..."""
    logits = _logits(z1, z2, temperature).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(logits)) ^ 1)


_WRONG_PARTNERS = (
    *(_wrong_partner(offset) for offset in (lambda n: 1, lambda n: -1, lambda n: n - 1, lambda n: n + 1)),
    _wrong_partner(lambda n: 0, masked=False),  # itself
    _interleaved,
)
_ONE_DIRECTION = (
    lambda z1, z2, t: _rows(z1, z2, t)[: len(z1)].mean(),
    lambda z1, z2, t: _rows(z1, z2, t)[len(z1) :].mean(),
    _across,
    lambda z1, z2, t: _across(z2, z1, t),
)


def _underflow(z1, z2, temperature):
    logits = _logits(z1, z2, temperature).fill_diagonal_(-torch.inf)
    value = -logits.softmax(dim=1).diagonal(len(z1)).log().mean()
    return _reference(z1, z2, temperature) if value.isfinite() else torch.tensor(torch.nan)


def _masked_with(number: float) -> Callable:
    return lambda z1, z2, t: _loss(_logits(z1, z2, t).fill_diagonal_(number))


def _writes_into_its_arguments(attempt: Callable, z1: Tensor, z2: Tensor, temperature: float) -> bool:
    given = z1.clone(), z2.clone()
    with suppress(Exception):  # `compare` runs the attempt again and says what it raised
        call(lambda: attempt(*given, temperature))
    return not (torch.equal(given[0], z1) and torch.equal(given[1], z2))


_EXTREME = ((UNDERFLOW, _underflow), *((WEAK_MASK, _masked_with(m)) for m in (-10, -20, -30)))
