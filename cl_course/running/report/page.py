"""The report as one HTML page that needs no other file and asks no other host."""

import json
import math
from html import escape
from pathlib import Path

from cl_course.running.export import class_name
from cl_course.running.report.advice import across_splits, advice
from cl_course.running.report.drawing import COLOURS, loss_chart, map_chart, score_chart, sheet, thumbnail
from cl_course.running.report.measure import COPIES, DOUBTFUL, Measured
from cl_course.running.report.scores import SPLITS, spread

HERE = Path(__file__).parent


def page(found: Measured) -> str:
    """The whole page."""
    sections = [
        _top(found),
        _next(found),
        _scores(found),
        _neighbours(found),
        _map(found),
        _health(found),
        _copies(found),
        _doubts(found),
    ]
    title = f"{found.encoder.name} on {found.source}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>\n{(HERE / 'page.css').read_text()}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + f"\n</main>\n<script>\n{(HERE / 'map.js').read_text()}</script>\n</body>\n</html>\n"
    )


def _top(found: Measured) -> str:
    images, splits = found.pictures.images, found.pictures.splits
    height, width = images.images.shape[-2:]
    facts = [(f"{len(splits):,}", f"pictures of {height} x {width} pixels (h x w)")]
    facts += [(f"{splits.count(split):,}", split) for split in dict.fromkeys(splits)]
    if images.labels is not None:
        facts.append((str(len(images.class_names)), "classes"))
    listed = "".join(f"<li><b>{number}</b>{_text(what)}</li>" for number, what in facts)
    return (
        f"<h1>{_text(found.encoder.name)} on {_text(found.source)}</h1>\n"
        f'<p class="quiet">{_text(found.encoder.about)}; seed {found.seed}</p>\n<ul class="facts">{listed}</ul>'
    )


def _next(found: Measured) -> str:
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in advice(found))
    return f'<section class="next"><h2 style="margin-top:0">What to try next</h2><ol>{items}</ol></section>'


def _scores(found: Measured) -> str:
    scores = found.scores
    if scores is None:
        return f"<h2>Accuracy</h2>\n<p>{_text(found.unlabelled)}</p>"
    train, val, test = scores.numbers
    drawn = (
        "each draws anew which of the other pictures train and which choose; the test pictures are the source's own"
        if scores.own_test
        else "each draws anew which pictures train, choose and are judged"
    )
    rows = "".join(
        f'<tr><th scope="row">{_text(row.name)}</th>'
        + "".join(f'<td class="number">{mean:.3f} ± {deviation:.3f}</td>' for mean, deviation in
                  (spread(row.knn), spread(row.probe)))
        + "</tr>" for row in scores.rows
    )  # fmt: skip
    return (
        f"<h2>Accuracy, beside what costs nothing</h2>\n<p>Mean and standard deviation over {SPLITS} random splits: "
        f"{drawn}. In each, {train:,} labelled pictures train, {val:,} choose the probe's strength and {test:,} are "
        "judged; nothing is chosen on those.</p>\n"
        f'<div class="wide">{score_chart(scores)}</div>\n'
        f'<p class="quiet">One dot for each split: filled, the vote of the {scores.k} nearest neighbours; open, a '
        f"linear probe. Dashed: always the largest class ({scores.largest:.3f}).</p>\n"
        f'<div class="wide"><table><tr><th scope="col">features</th><th class="number" scope="col">{scores.k}-NN</th>'
        f'<th class="number" scope="col">linear probe</th></tr>{rows}</table></div>'
    )


def _neighbours(found: Measured) -> str:
    labels = found.pictures.images.labels
    rows = []
    for picture, neighbours in found.examples:
        figures = [_figure(found, picture)]
        for other, similarity in neighbours:
            wrong = labels is not None and labels[other] != labels[picture]
            figures.append(_figure(found, other, f"{similarity:.3f}", "other" if wrong else ""))
        rows.append(f'<div class="row">{"".join(figures)}</div>')
    marked = "; dashed: of another class" if labels is not None else ""
    return (
        f"<h2>Nearest neighbours</h2>\n<p>Left a picture, then those with the most similar features, with their "
        f"cosine similarity{marked}. The pictures on the left are drawn at random, not chosen.</p>\n" + "\n".join(rows)
    )


def _map(found: Measured) -> str:
    images = found.pictures.images.subset(found.mapped)
    labels = None if images.labels is None else images.labels.tolist()
    captions = [_caption(found, picture) for picture in found.mapped.tolist()]
    legend = ""
    if labels is not None:
        shades = "; colours repeat" if len(images.class_names) > len(COLOURS) else ""
        items = [
            f'<li><i style="background:{COLOURS[i % len(COLOURS)]}"></i>{_text(name)}</li>'
            for i, name in enumerate(images.class_names)
        ]
        legend = f'<ul class="legend">{"".join(items)}</ul>\n<p class="quiet">Colours are classes{shades}.</p>'
    every = len(captions) == len(found.pictures.names)
    some = "All pictures" if every else f"{len(captions):,} pictures drawn at random"
    sprite = json.dumps(sheet(images.images))
    return (
        f"<h2>Map</h2>\n<p>{some}, each near those with similar features. Point at one, or use the arrow keys, to see "
        "the picture. Distances between far groups, and the sizes of groups, mean nothing.</p>\n"
        f'<div class="map">{map_chart(found.points, [_plain(caption) for caption in captions], labels)}'
        '<aside><div role="img" aria-label="the chosen picture"></div><p aria-live="polite"></p></aside></div>\n'
        f'{legend}\n<script type="application/json" id="sprite">{sprite}</script>'
    )


def _health(found: Measured) -> str:
    views = found.views
    rows = [
        ("spread of the features", f"{views.spread:.2f}", "1: they fill the sphere evenly; near 0: collapsed"),
        ("dimensions that are used", f"{views.rank:.0f} of {views.dim}", "effective rank"),
        ("two views of one picture", f"{views.same:.2f}", "mean cosine similarity"),
        ("views of two pictures", f"{views.other:.2f}", "the same for strangers; it should be clearly lower"),
        ("views that find their picture", f"{views.found:.0%}", f"among {views.n:,}; chance is {1 / views.n:.1%}"),
    ]
    table = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{value}</td><td>{about}</td></tr>'
        for name, value, about in rows
    )
    losses = found.encoder.card.get("loss")
    numbers = (
        isinstance(losses, list)
        and len(losses) > 1
        and all(isinstance(loss, float) and math.isfinite(loss) for loss in losses)
    )
    drawn = f"\n<p>Its loss in training, from its card:</p>\n{loss_chart(losses)}" if numbers else ""
    return (
        f"<h2>Health</h2>\n<p>Measured on {views.n:,} pictures without labels; views are made by the course's "
        f'default augmentation.</p>\n<div class="wide"><table>{table}</table></div>{drawn}'
    )


def _copies(found: Measured) -> str:
    splits = found.pictures.splits
    pairs = across_splits(found)
    inside = len(found.copies) - len(pairs)
    if not pairs:
        what = "No picture has a near duplicate in another split."
    else:
        what = (
            f"{len(pairs):,} pictures have a near duplicate in another split: a test picture that was seen in "
            "training is no test."
        )
    more = f" Within a split there are {inside:,}." if inside else ""
    shown = "".join(
        f'<div><div class="pair">{_image(found, later)}{_image(found, earlier)}</div>'
        f"<p>{splits[later]}: {_text(found.pictures.names[later])}<br>"
        f"{splits[earlier]}: {_text(found.pictures.names[earlier])}</p></div>"
        for later, earlier in pairs[:COPIES]
    )
    first = f" The first {COPIES}:" if len(pairs) > COPIES else ""
    return (
        f"<h2>Duplicates across splits</h2>\n<p>{what}{more} Pixels are compared, not features; mirrored and "
        f'cropped copies are not found.{first}</p>\n<div class="cards">{shown}</div>'
    )


def _doubts(found: Measured) -> str:
    if found.doubts is None:
        return ""
    names, labels = found.pictures.images.class_names, found.pictures.images.labels
    cards = []
    for doubt in found.doubts[:DOUBTFUL]:
        votes = "".join(_image(found, other) for other in doubt.nearest)
        cards.append(
            f'<div><div class="pair">{_image(found, doubt.picture)}</div>'
            f"<p><b>{_text(class_name(names, int(labels[doubt.picture])))}</b>, but {doubt.share:.0%} of the votes say "
            f"<b>{_text(class_name(names, doubt.votes_for))}</b><br>{_text(found.pictures.names[doubt.picture])}</p>"
            f'<div class="votes">{votes}</div></div>'
        )
    n = len(found.pictures.names)
    first = f" The {DOUBTFUL} surest votes:" if len(found.doubts) > DOUBTFUL else ""
    return (
        f"<h2>Labels that the neighbours doubt</h2>\n<p>Of {len(found.doubts):,} of {n:,} pictures "
        f"({len(found.doubts) / n:.1%}) the nearest other pictures vote for another class. Some have a wrong "
        f"label, of others the encoder does not see what they are.{first}</p>\n"
        f'<div class="cards">{"".join(cards)}</div>'
    )


def _figure(found: Measured, picture: int, above: str = "", kind: str = "") -> str:
    images = found.pictures.images
    known = images.labels is not None
    name = f"<b>{_text(class_name(images.class_names, int(images.labels[picture])))}</b> " if known else ""
    file = "" if above else _text(found.pictures.names[picture])
    return f'<figure class="{kind}">{_image(found, picture)}<figcaption>{name}{above or file}</figcaption></figure>'


def _image(found: Measured, picture: int) -> str:
    image = found.pictures.images.images[picture]
    small = ' class="small"' if max(image.shape[-2:]) < 48 else ""
    caption = _text(_caption(found, picture))
    return f'<img{small} src="{thumbnail(image)}" alt="{caption}" title="{caption}">'


def _caption(found: Measured, picture: int) -> str:
    labels = found.pictures.images.labels
    name = "" if labels is None else f"{class_name(found.pictures.images.class_names, int(labels[picture]))}: "
    return f"{name}{found.pictures.names[picture]}"


def _plain(text: str) -> str:
    """Text that a UTF-8 file can hold: file names on Linux may have other bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _text(text: str) -> str:
    return escape(_plain(text))
