"""The one engine behind every exercise check: observe the attempt, compare, and say what differs.

An exercise is judged in four steps, and the first one that finds something speaks:

1. The attempt is observed: run on the exercise's inputs. What it raises is an observation too.
2. It is compared with the right way. Where both agree, the `demands` follow: what a right answer must also do.
3. Where they differ, known mistakes are tried, one at a time and then two at once. Each is written as wrong code, and
   its sentence is said only if that code gives the very same observation.
4. No known mistake gives it: the `ladder` follows, probes that look at one property each and report what they saw.

So a sentence about a cause is always true: the code that it describes was run. Hidden inputs are never shown; a probe
may show the small example that it uses.
"""

import linecache
import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

NOT_ATTEMPTED = (
    "not attempted yet, or nothing is returned; fill in the stub above and run this cell again "
    "(the rest of the lesson does not wait for it)."
)
SWITCHED_OFF = (
    "your code switches gradients off or on for the whole program and leaves them so: nothing after it could learn. "
    "Write `with torch.no_grad():` around the lines that need no gradient."
)
# Words of an error message -> what to do about it. For errors whose wrong code no exercise lists.
REMEDIES = {
    "must match the size": "Two shapes do not fit together: print them. One number for each row of (n, d) needs the "
    "shape (n, 1), and for each image of (n, 3, h, w) the shape (n, 1, 1, 1), as in coins[:, None, None, None].",
    "is ambiguous": "`if`, `and`, `or` and `not` ask for one True or False, and here are many: between masks write &, "
    "| and ~, and in place of `if`, torch.where takes them all.",
    "cannot be multiplied": "The inner sizes of a matrix product must be equal, (n, d) @ (d, m): print both shapes.",
    "infer output dtype": "The mean of True and False needs numbers: .float().mean().",
    "elements cannot be converted": "A tensor of many values stands where Python wants one number: keep the tensor.",
    "element tensors can be": "A tensor of many values stands where Python wants one number: keep the tensor.",
    "values to unpack": "The names on the left and the values on the right differ in number: print the right side.",
    "positional argument": "A call gives more or fewer arguments than the function takes. (The stub's own first line "
    "stays as it is.)",
    "is not callable": "A value is called as if it were a function: look for a name that you have used twice.",
}

# Words by which torch's own NotImplementedError, as of `1 - mask`, differs from that of a stub.
TORCHS_OWN = ("not supported", "not implemented for")


class ExerciseError(AssertionError):
    """A failed or missing exercise, raised when CL_COURSE_STRICT=1 (for CI and grading)."""


class NotAttempted(Exception):
    """The attempt is still the stub."""


class Fault(Exception):
    """Raised while observing: the sentence about something that no answer may do, such as changing its arguments."""


@dataclass(frozen=True)
class Raised:
    """An observation: the attempt stopped with an error. Equal where type and message are."""

    kind: str
    message: str
    where: str = field(default="", compare=False)

    def __str__(self) -> str:
        remedy = next((remedy for words, remedy in REMEDIES.items() if words in self.message.lower()), "")
        where = f" at `{self.where}`" if self.where else ""
        end = "." if remedy and not self.message.endswith((".", "!", "?")) else ""
        return f"your code stopped with {self.kind}{where}: {self.message}{end} {remedy}".rstrip()


@dataclass(frozen=True)
class Mistake:
    """One known way to get it wrong.

    Attributes:
        sentence: what the learner did, and why it matters; shown to them.
        parts: which parts of the right way are done in another way: the arguments of the exercise's `make`.
    """

    sentence: str
    parts: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What a check found: `sentence` is the praise or the reason; `notes` are friendly remarks on a right answer."""

    exercise: str
    passed: bool
    sentence: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        remarks = "".join(f"\n  Note: {note}" for note in self.notes)
        return f"{'✔' if self.passed else '✘'} {self.exercise}: {self.sentence}{remarks}"


@dataclass(frozen=True)
class Exercise:
    """An exercise and its check; call it with the learner's function: `checks.nt_xent(my_nt_xent)`.

    Attributes:
        name: of the learner's function.
        observe: attempt -> what it did, as numbers, strings, tensors and sequences of them; it may raise `NotAttempted`
            and `Fault`.
        make: the right way, in parts that can be replaced: make() does all right, make(mask=...) has another mask.
            None where answers are random, so that no single one is right: then the demands decide alone.
        mistakes: the known ones, the simplest explanation first.
        praise: said of a right answer.
        demands: attempt -> a sentence, or None; asked when the observation is right, in this order.
        ladder: the same, asked when it is wrong and no known mistake.
        notes: attempt -> a remark on a right answer, or None.
    """

    name: str
    observe: Callable[[Callable], Any]
    make: Callable[..., Callable] | None
    mistakes: Sequence[Mistake]
    praise: str
    demands: Sequence[Callable[[Callable], str | None]] = ()
    ladder: Sequence[Callable[[Callable], str | None]] = ()
    notes: Sequence[Callable[[Callable], str | None]] = ()

    def __call__(self, attempt: Callable) -> None:
        """Print the verdict; raise it where it is no pass and CL_COURSE_STRICT=1."""
        verdict = self.judge(attempt)
        if not verdict.passed and os.environ.get("CL_COURSE_STRICT") == "1":
            raise ExerciseError(f"{self.name}: {verdict.sentence}")
        print(verdict)

    def judge(self, attempt: Callable) -> Verdict:
        """The verdict, without printing it."""
        threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
        torch.set_num_threads(1)  # the inputs are tiny; on a busy machine, two threads that wait cost seconds
        try:
            verdict = self._judge(attempt)
            return verdict if torch.is_grad_enabled() == gradients else Verdict(self.name, False, SWITCHED_OFF)
        finally:
            torch.set_num_threads(threads)
            torch.set_grad_enabled(gradients)

    def _judge(self, attempt: Callable) -> Verdict:
        try:
            seen = observed(self.observe, attempt)
        except NotAttempted:
            return Verdict(self.name, False, NOT_ATTEMPTED)
        except Fault as fault:
            return Verdict(self.name, False, str(fault))
        if self.make is not None and not same(seen, observed(self.observe, self.make())):
            return Verdict(self.name, False, self._whats_wrong(attempt, seen))
        if self.make is None and isinstance(seen, Raised):
            return Verdict(self.name, False, str(seen))
        for demand in self.demands:
            try:
                sentence = observed(demand, attempt)
            except (Fault, NotAttempted) as fault:
                sentence = str(fault) or NOT_ATTEMPTED
            if isinstance(sentence, Raised) and self.make is not None:
                sentence = f"right on ordinary inputs, but on a special one {sentence}"
            if sentence:  # an error too: what cannot be checked is not passed
                return Verdict(self.name, False, str(sentence))
        notes = tuple(note for ask in self.notes if (note := first_said([ask], attempt)))
        return Verdict(self.name, True, self.praise, notes)

    def _whats_wrong(self, attempt: Callable, seen: Any) -> str:
        for sentence, parts in one_or_two(self.mistakes):
            try:
                if same(seen, observed(self.observe, self.make(**parts))):
                    return sentence
            except (Fault, NotAttempted):  # two wrong parts may break what no observation survives
                continue
        if isinstance(seen, Raised):
            return str(seen)
        return first_said(self.ladder, attempt) or difference(seen, observed(self.observe, self.make()))


def observed(observe: Callable[[Callable], Any], attempt: Callable) -> Any:
    """What `observe` saw, or `Raised` where the attempt stopped with an error."""
    try:
        return observe(attempt)
    except (NotAttempted, Fault):
        raise
    except Exception as error:  # the learner's code may raise anything, and the lesson must go on
        if isinstance(error, NotImplementedError) and not any(words in str(error) for words in TORCHS_OWN):
            raise NotAttempted from error  # as a stub may raise
        message = (str(error).strip().splitlines() or ["without a message"])[0]
        return Raised(type(error).__name__, message, _line_of(error))


def _line_of(error: Exception) -> str:
    """The learner's own line at which it stopped; empty where the source is not to be had."""
    ours = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    library = ("site-packages", "dist-packages", sysconfig.get_path("stdlib"), "<frozen")
    mine = [f for f in frames if not any(part in f.filename for part in library)]
    return linecache.getline(mine[-1].filename, mine[-1].lineno).strip() if mine else ""


def call(attempt: Callable, *arguments: Any) -> Any:
    """The attempt's answer on copies of the arguments.

    Raises:
        NotAttempted: it returned None or ..., as the stub does.
    """
    answer = attempt(*(a.clone() if isinstance(a, Tensor) else a for a in arguments))
    if answer is None or answer is ...:
        raise NotAttempted
    return answer


def first_said(asked: Sequence[Callable[[Callable], str | None]], attempt: Callable) -> str | None:
    """The first sentence of those asked in turn; one in which the attempt stops has nothing to say."""
    for ask in asked:
        try:
            sentence = ask(attempt)
        except Fault as fault:
            sentence = str(fault)
        except Exception:  # noqa: S112 - a probe may ask what the attempt cannot do
            continue
        if sentence:
            return sentence
    return None


def same(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Equal shapes and values, up to a relative and absolute tolerance; non-finite never matches finite."""
    if isinstance(a, Raised | str) or isinstance(b, Raised | str):
        return a == b
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b))
    try:
        a, b = torch.as_tensor(in_order(a)), torch.as_tensor(in_order(b))
    except (TypeError, ValueError, RuntimeError):
        return False
    return a.shape == b.shape and torch.allclose(
        a.detach().double(), b.detach().double(), rtol=tolerance, atol=tolerance, equal_nan=True
    )


def one_or_two(mistakes: Sequence[Mistake]) -> Iterator[tuple[str, Mapping]]:
    """Each mistake, then each two that lie in different parts: (sentence, parts)."""
    yield from ((mistake.sentence, mistake.parts) for mistake in mistakes)
    for first, second in combinations(mistakes, 2):
        if not first.parts.keys() & second.parts.keys():
            both = f"two things at once. First: {first.sentence} Second: {second.sentence}"
            yield both, {**first.parts, **second.parts}


def difference(seen: Any, right: Any) -> str:
    """The last resort: what came back, what was expected."""
    pair = seen, right
    while pair and all(isinstance(part, tuple | list) for part in pair) and len(pair[0]) == len(pair[1]):
        seen, right = pair
        pair = next(((a, b) for a, b in zip(seen, right) if not same(a, b)), None)
    seen, right = pair or (seen, right)
    try:
        seen, right = torch.as_tensor(in_order(seen)).detach(), torch.as_tensor(in_order(right)).detach()
    except (TypeError, ValueError, RuntimeError):
        if kind_of(seen) == kind_of(right):
            return "your answer to one of the test inputs is not the right one."
        return f"{kind_of(seen)} came back, where {kind_of(right)} is expected."
    if seen.shape != right.shape:
        return f"the answer has the shape {tuple(seen.shape)}, expected {tuple(right.shape)}."
    if seen.numel() == 1:
        return f"on one of the test inputs your answer is {float(seen):.4f}, expected {float(right):.4f}."
    worst = float((seen.double() - right.double()).abs().max())
    return f"on one of the test inputs your values differ from the right ones by up to {worst:.4f}."


def in_order(value: Any) -> Any:
    """An array of numpy that runs forwards, as np.flip's does not: torch takes no other. All else as it is."""
    return value.copy() if isinstance(value, np.ndarray) else value


def kind_of(value: Any) -> str:
    """With its article: a tensor, a list, an int."""
    kind = "tensor" if isinstance(value, Tensor) else type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIO' else 'a'} {kind}"
