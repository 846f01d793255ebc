"""The known mistakes of `my_nt_xent`: what is said of each, and which part of NT-Xent is done in another way."""

import torch
import torch.nn.functional as F

from cl_course.lessons.infonce import nt_xent_parts as parts
from cl_course.lessons.shared.exercise import Mistake

_OFFSET = "the partner is at the wrong offset: view i of 2n has its partner n places on, at (i + n) modulo 2n. "
_NO_EFFECT = (
    "the temperature has no effect: the logits count as if T were {t:g}, whatever T is. {how}Divide the similarities "
    "by T."
)
_UNUSED = (
    "That happens where T is never used, where it divides the embeddings before they are normalised (which undoes it), "
    "and where it is added to every similarity. "
)
_ONE_DIRECTION = (
    "one direction only: the views in {side} look for their partner, those in the other half do not. "
    "Average over all 2n views."
)
_ACROSS = (
    "half of the candidates are missing: you compare z1 with z2 alone. The other views on a view's own side are "
    "negatives too, 2n - 1 candidates in all."
)
_LENGTHS = "the embeddings are not normalised: their lengths must not count. "
_TWO_SHAPES = (  # both causes give one and the same error
    "two shapes do not fit together: a division by lengths needs them as a column, z.norm(dim=1, keepdim=True), and "
    "the products of all rows with all need a matrix product, z @ z.T."
)
_CUT_OUT = (
    "your rows have fewer than 2n columns, and a target is past the last one: where each view is cut out of its own "
    "row, later columns move one to the left. Keep all 2n columns and set the diagonal to -inf instead."
)
_STILL_COUNTS = "your diagonal is masked with {what} still counts as a candidate. Set the logits' diagonal to -inf."
_UNUSED_VIEW = "{other} is never compared: {one} takes its place. A view must find the other view of its image."

MISTAKES = (
    Mistake(
        "your diagonal is not masked: each view is its own easiest match. "
        "Set the diagonal of the logits to -inf before the softmax.",
        {"candidates": parts.everything},
    ),
    Mistake(_STILL_COUNTS.format(what="0, and exp(0) = 1"), {"candidates": parts.hide_itself(0.0)}),
    Mistake(_STILL_COUNTS.format(what="-1, and exp(-1)"), {"candidates": parts.hide_itself(-1.0)}),
    Mistake(
        _STILL_COUNTS.format(what="-1 before the division by T, and exp(-1 / T)"),
        {"similarity": parts.itself_at_minus_one, "candidates": parts.everything},
    ),
    Mistake(_NO_EFFECT.format(t=1, how=_UNUSED), {"scale": parts.always(1.0)}),
    *(Mistake(_NO_EFFECT.format(t=t, how=""), {"scale": parts.always(t)}) for t in (0.5, 0.1, 0.07, 0.2)),
    Mistake(
        "you multiply by the temperature: divide, so that a small one makes the softmax sharper.",
        {"scale": lambda s, t: s * t},
    ),
    Mistake(
        "the temperature counts as T squared. Dividing both embeddings by T does that: their product is divided twice. "
        "Divide the similarities, once.",
        {"scale": lambda s, t: s / t**2},
    ),
    Mistake(
        "the similarities are divided by the root of the temperature, not by the temperature.",
        {"scale": lambda s, t: s / t**0.5},
    ),
    *(
        Mistake(_OFFSET + where, {"partner": wrong})
        for where, wrong in (
            # i -> j and j -> i give the same sum of s_ij, so that the loss cannot tell a step on from a step back.
            ("Yours is the next row or the row before.", lambda n: torch.arange(2 * n).roll(1)),
            ("Yours is n - 1 or n + 1 places on.", lambda n: torch.arange(2 * n).roll(n - 1)),
            ("Yours counts from the end, at 2n - 1 - i.", lambda n: torch.arange(2 * n).flip(0)),
        )
    ),
    Mistake(
        "your targets are right where the views come as A1 A2 B1 B2 ..., but here they come as A1 B1 ... A2 B2 ...: "
        "the partner of view i is n places on, at (i + n) modulo 2n.",
        {"partner": lambda n: torch.arange(2 * n) ^ 1},
    ),
    Mistake(
        "your views come as A1 A2 B1 B2 ..., but your targets are right where they come as A1 B1 ... A2 B2 ...: "
        "join the views with torch.cat([z1, z2]).",
        {"views": parts.alternating},
    ),
    Mistake("torch.cat takes a list: torch.cat([z1, z2]).", {"views": lambda z1, z2: torch.cat(z1, z2)}),
    Mistake(
        "one target for each image, n in all; every one of the 2n views needs the index of its partner.",
        {"partner": lambda n: torch.arange(n)},
    ),
    Mistake(
        "the targets run past the last column: wrap around, (i + n) modulo 2n.",
        {"partner": lambda n: torch.arange(2 * n) + n},
    ),
    *(
        Mistake(_CUT_OUT, {"candidates": parts.without_own_column, "view_loss": wrong})
        for wrong in (parts.minus_log_p, parts.row_by_row)
    ),
    Mistake(
        "the targets are floats; F.cross_entropy takes indices: whole numbers, as torch.arange gives.",
        {"partner": lambda n: parts.n_places_on(n).float()},
    ),
    Mistake(
        "each view is its own target, and its own candidate. The partner of view i is n places on, at (i + n) modulo "
        "2n, and the view itself is masked with -inf.",
        {"partner": lambda n: torch.arange(2 * n), "candidates": parts.everything},
    ),
    Mistake(_ONE_DIRECTION.format(side="z1"), {"average": lambda losses: losses[: len(losses) // 2].mean()}),
    Mistake(_ONE_DIRECTION.format(side="z2"), {"average": lambda losses: losses[len(losses) // 2 :].mean()}),
    Mistake(_ACROSS, {"candidates": parts.own_side_hidden}),
    Mistake(
        "besides its partner, a view's candidates are only the views before it: a triangle of the matrix is masked. "
        "Mask the diagonal alone.",
        {"candidates": parts.earlier_rows_and_partner},
    ),
    Mistake(_UNUSED_VIEW.format(one="z1", other="z2"), {"views": lambda z1, z2: torch.cat([z1, z1])}),
    Mistake(_UNUSED_VIEW.format(one="z2", other="z1"), {"views": lambda z1, z2: torch.cat([z2, z2])}),
    Mistake(
        "your logarithm is outside the mean: it is -log of the mean probability. Each view has its own -log p, and "
        "the mean of those is the loss.",
        {"average": lambda losses: -(-losses).exp().mean().log()},
    ),
    Mistake(
        "the softmax is taken twice: F.cross_entropy takes logits and makes the softmax itself.",
        {"view_loss": parts.softmax_twice},
    ),
    Mistake(
        "exponentials go into F.cross_entropy, which takes logits and makes the exponentials itself.",
        {"view_loss": parts.exponentials},
    ),
    Mistake(
        "your sum leaves the partner out (some papers do: the decoupled loss). In NT-Xent it runs over all k except i, "
        "the partner among them.",
        {"view_loss": parts.without_the_partner},
    ),
    Mistake(
        "only the hardest negative counts beside the partner: the sum runs over all 2n - 1 candidates.",
        {"view_loss": parts.hardest_alone},
    ),
    Mistake(
        "beside the partner stands the mean of the negatives' exponentials; their sum belongs there.",
        {"view_loss": parts.mean_of_negatives},
    ),
    Mistake(
        "the partner's exponential is divided by the mean of the candidates' exponentials; their sum belongs there.",
        {"view_loss": parts.mean_of_candidates},
    ),
    Mistake(
        "one softmax for the whole table: each row, one view and its candidates, needs its own.",
        {"view_loss": parts.one_softmax_for_all},
    ),
    Mistake(
        "each pair is judged by itself, yes or no (a sigmoid). Here all candidates of a view compete in one softmax.",
        {"view_loss": parts.yes_or_no},
    ),
    Mistake(
        "the logarithm is missing: you average 1 - p. The loss of a view is -log p.",
        {"view_loss": lambda logits, partner: 1 - (-parts.minus_log_p(logits, partner)).exp()},
    ),
    Mistake(
        "the logarithm is missing: you average -p. The loss of a view is -log p.",
        {"view_loss": lambda logits, partner: -(-parts.minus_log_p(logits, partner)).exp()},
    ),
    Mistake(
        "a sum where the mean belongs: divide by the number of views, 2n.", {"average": lambda losses: losses.sum()}
    ),
    Mistake(
        "twice too large: the loss is the mean over 2n views. Divide by 2n, not by n.",
        {"average": lambda losses: 2 * losses.mean()},
    ),
    Mistake(
        "twice too small: average over the 2n views once, or over the two directions, but not both.",
        {"average": lambda losses: losses.mean() / 2},
    ),
    Mistake(
        "divided by 2n twice: the mean has done it already.", {"average": lambda losses: losses.mean() / len(losses)}
    ),
    Mistake(
        "the mean over the views is divided by n once more.",
        {"average": lambda losses: 2 * losses.mean() / len(losses)},
    ),
    Mistake("one value for each view came back: average them into one number.", {"average": lambda losses: losses}),
    Mistake("the largest of the views' losses came back: take their mean.", {"average": torch.max}),
    Mistake("the median of the views' losses came back: take their mean.", {"average": torch.median}),
    Mistake(
        "the sign is wrong: the loss is minus the logarithm of the partner's probability.",
        {"average": lambda losses: -losses.mean()},
    ),
    Mistake(_LENGTHS + "Make each row's length 1 with F.normalize(z, dim=1).", {"lengths": lambda z: z}),
    *(
        Mistake("normalised along the wrong dimension: each row is an embedding, so dim=1.", {"lengths": wrong})
        for wrong in (lambda z: F.normalize(z, dim=0), parts.each_side(lambda z: F.normalize(z, dim=0)))
    ),
    *(
        Mistake(_TWO_SHAPES, {"lengths": wrong})
        for wrong in (lambda z: z / z.norm(dim=1), parts.each_side(lambda z: z / z.norm(dim=1)))
    ),
    Mistake(
        "z1 is normalised and z2 is not: make the length of every row of both 1.",
        {"views": lambda z1, z2: torch.cat([parts.unit(z1), z2]), "lengths": lambda z: z},
    ),
    Mistake(
        "z2 is normalised and z1 is not: make the length of every row of both 1.",
        {"views": lambda z1, z2: torch.cat([z1, parts.unit(z2)]), "lengths": lambda z: z},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the sum of absolute values; the length is the root of the sum of squares.",
        {"lengths": lambda z: F.normalize(z, p=1, dim=1)},
    ),
    Mistake(
        _LENGTHS + "Yours are divided by the squared length, without the root.",
        {"lengths": lambda z: z / z.square().sum(dim=1, keepdim=True)},
    ),
    *(
        Mistake(
            _LENGTHS + "Yours are all divided by one common length; each row needs its own, F.normalize(z, dim=1).",
            {"lengths": wrong},
        )
        for wrong in (lambda z: z / z.norm(), parts.each_side(lambda z: z / z.norm()))
    ),
    Mistake(
        "the absolute value of the similarity is compared: -1 counts as near as 1, and it must be the farthest.",
        {"similarity": parts.transformed(torch.abs)},
    ),
    Mistake(
        "the square of the similarity is compared: -1 counts as near as 1, and it must be the farthest.",
        {"similarity": parts.transformed(torch.square)},
    ),
    Mistake(
        "near views get small logits: the sign of the similarity is wrong. Both -s and 1 - s do that.",
        {"similarity": parts.transformed(torch.neg)},
    ),
    Mistake(
        "distances are compared: near views must get large logits. Use the cosine similarity, z @ z.T.",
        {"similarity": parts.distances},
    ),
    Mistake(
        "minus the distance is compared, not the cosine similarity z @ z.T.",
        {"similarity": lambda z: -parts.distances(z)},
    ),
    Mistake(
        "the similarities count twice. Minus the squared distance does that: on the sphere it is 2 s - 2. Compare the "
        "cosine similarities, s = z @ z.T, each divided by T.",
        {"similarity": lambda z: -parts.distances(z).square()},
    ),
)
