"""What to try next: each sentence follows from a measured number, which it names."""

from cl_course.running.report.measure import Measured
from cl_course.running.report.scores import Scores, spread

CLEAR = 2.0  # standard deviations over splits by which a difference has to exceed chance


def advice(found: Measured) -> list[str]:
    """Sentences, the most urgent first; at least one."""
    sentences = [*_about_copies(found), *_about_health(found)]
    if found.scores is not None:
        sentences += [*_about_scores(found.scores, found.source), *_about_labels(found)]
    elif found.pictures.images.labels is None:
        sentences.append(
            "Label ten pictures of each class (move them into one folder for each) and make this report "
            "again: ten are enough to see whether neighbours are of one class."
        )
    if not sentences:
        sentences.append(
            "Nothing here asks for a repair. More pictures and more epochs are the next things to try: "
            f"cl-course pretrain {found.source} --epochs 100."
        )
    return sentences


def across_splits(found: Measured) -> list[tuple[int, int]]:
    """The copies whose two pictures are in different splits."""
    splits = found.pictures.splits
    return [(i, j) for i, j in found.copies.tolist() if splits[i] != splits[j]]


def _about_copies(found: Measured) -> list[str]:
    pairs = across_splits(found)
    sentence = (
        f"Take the copies out of one split first: {len(pairs):,} pictures have a near duplicate in another "
        "split, and each makes the accuracy look better than it is."
    )
    return [sentence] if pairs else []


def _about_health(found: Measured) -> list[str]:
    views, sentences = found.views, []
    if views.spread < 0.1:
        sentences.append(
            f"The encoder has collapsed: its features point the same way (spread {views.spread:.2f} of "
            "1). Train it again at a lower learning rate."
        )
        return sentences
    if views.rank < 0.05 * views.dim:
        sentences.append(
            f"The features use {views.rank:.0f} of {views.dim} dimensions. Train longer, or with more varied pictures."
        )
    if views.same - views.other < 0.1:
        sentences.append(
            f"Two views of a picture are hardly more alike ({views.same:.2f}) than two pictures "
            f"({views.other:.2f}). Pre-train on these pictures: cl-course pretrain {found.source}."
        )
    return sentences


def _about_scores(scores: Scores, source: str) -> list[str]:
    this, random, shipped, pixels = scores.rows
    (mean, deviation), (linear, _) = spread(this.knn), spread(this.probe)
    sentences = []
    best = max((random, pixels), key=lambda row: spread(row.knn)[0])
    ahead, other = mean - spread(best.knn)[0], max(deviation, spread(best.knn)[1])
    if ahead < CLEAR * other:
        sentences.append(
            f"Its neighbours are not clearly better than those of {best.name} ({mean:.3f} against "
            f"{spread(best.knn)[0]:.3f}, deviation {other:.3f}). Choose augmentations that keep what "
            "your classes differ in (colour jitter hides colour), then train longer: "
            f"cl-course pretrain {source} --epochs 100."
        )
    if spread(shipped.knn)[0] - mean > CLEAR * max(deviation, spread(shipped.knn)[1]):
        sentences.append(
            f"The shipped encoder is better here ({spread(shipped.knn)[0]:.3f} against {mean:.3f}). Train "
            "longer or on more pictures."
        )
    if linear - mean > 0.1:
        sentences.append(
            f"A linear probe reads the classes ({linear:.3f}) where neighbours do not ({mean:.3f}). Use "
            "the probe, or fine-tune with your labels (lesson 06)."
        )
    if deviation > 0.03:
        sentences.append(
            f"The accuracy changes by {deviation:.3f} from split to split, with {scores.numbers[2]:,} "
            "test pictures. Label more before you compare two encoders that differ by less."
        )
    return sentences


def _about_labels(found: Measured) -> list[str]:
    share = len(found.doubts) / len(found.pictures.names)
    sure = sum(doubt.share > 0.9 for doubt in found.doubts)
    sentence = (
        f"Look at the {sure:,} pictures whose neighbours are nearly all of another class ({share:.1%} of all "
        "disagree at least in part): wrong labels, or what the encoder does not see."
    )
    return [sentence] if sure else []
