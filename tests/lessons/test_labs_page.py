"""What every lesson puts on the page: figures, tables and the results section."""

import base64
import html
import io
import re

import pytest
import torch
from PIL import Image

from cl_course.data import load
from cl_course.lessons.shared import results
from cl_course.lessons.shared.health_panel import HealthPanel
from cl_course.lessons.shared.show import BORDER, figure_bundle
from cl_course.lessons.shared.style import DENSITY, subplots
from cl_course.lessons.shared.tables import html_table, mean_and_spread, text_table
from cl_course.methods import SimCLR
from cl_course.models import projector, small_resnet
from cl_course.train import TrainConfig


@pytest.fixture
def shown(monkeypatch) -> list[dict]:
    """Everything that the code under test displays."""
    bundles = []
    for module in ("show", "tables"):
        name = f"cl_course.lessons.shared.{module}.display"
        monkeypatch.setattr(name, lambda data, **keywords: bundles.append(data))
    return bundles


def picture_of(bundle: dict) -> tuple[Image.Image, str]:
    """The pixels of an HTML image, and its tag without them."""
    tag = bundle["text/html"]
    kind, data = re.search(r'src="data:image/(png|jpeg);base64,([^"]+)"', tag).groups()
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format.lower() == kind
    return picture, tag.replace(data, "")


@pytest.mark.parametrize("photo", [False, True])
def test_a_figure_is_crisp_on_white_and_has_its_alt_text(photo):
    figure, axes = subplots(width=4, height=2)
    axes.plot([0, 1], [1, 0])
    alt = 'a line that falls from "1" to <0>'
    bundle = figure_bundle(figure, alt, photo)
    picture, tag = picture_of(bundle)
    assert bundle["text/plain"] == alt and f'alt="{html.escape(alt)}"' in tag
    assert picture.size == (400 * DENSITY + 2 * BORDER, 200 * DENSITY + 2 * BORDER) and DENSITY == 2
    assert f'width="{picture.width // 2}"' in tag and "max-width: 100%" in tag
    pixels = picture.convert("RGBA")
    assert min(pixels.getpixel((0, 0))) > 250 and pixels.getextrema()[3] == (255, 255), "white and opaque"


def test_colours_survive_the_palette():
    figure, axes = subplots(width=4, height=2)
    axes.imshow([[(0.0, 0.45, 0.7), (0.84, 0.37, 0.0)]], aspect="auto")
    picture, _ = picture_of(figure_bundle(figure, "two colours"))
    wanted = [(0, 115, 178), (214, 94, 0)]
    colours = [c for _, c in sorted(picture.convert("RGB").getcolors(1 << 20), reverse=True)[:3]]
    assert all(any(max(abs(a - b) for a, b in zip(w, c)) <= 3 for c in colours) for w in wanted), colours


def test_a_table_has_headings_and_escapes_its_text():
    table = html_table([["SimCLR", 0.9123, 8000], ["<none>", None, float("nan")]], ["row", "kNN", "labels"], "Test")
    assert table.count('<th scope="col"') == 3 and table.count('<th scope="row"') == 2 and "<caption" in table
    assert re.findall(r">([^<>]+)</t[dh]>", table) == [
        "row",
        "kNN",
        "labels",
        "SimCLR",
        "0.912",
        "8,000",
        "&lt;none&gt;",
        "–",
        "–",
    ]
    assert re.findall(r'<td style="text-align: (\w+)', table) == ["right"] * 4
    assert text_table([["a", 1, 0.5], ["long", None, 2]], ["x", "n", "y"]).splitlines() == [
        "x     n      y",
        "a     1  0.500",
        "long  –      2",
    ]
    with pytest.raises(ValueError, match="2 cells, but there are 3 columns"):
        html_table([["a", 1]], ["x", "y", "z"])


def test_mean_and_spread_are_of_a_sample():
    assert mean_and_spread([0.1, 0.2, 0.3]) == "0.200 ± 0.100"
    assert mean_and_spread([0.5]) == "0.500" and mean_and_spread([]) == "–"


def test_the_results_section_is_a_table_and_a_figure_that_agree(shown):
    results.results_section(leave_out=["BYOL"], live={"row": "MoCo", "knn": 0.812, "linear": 0.905})
    table, figure = shown
    rows = [line.split("  ")[0] for line in table["text/plain"].splitlines()[2:]]
    assert rows == ["pixels", "random encoder", "SimCLR", "MoCo", "MoCo, your run", "supervised"]
    pixels = results.summarise([r for r in results.records.read("results")["runs"] if r["row"] == "pixels"], "knn")[0]
    assert f"pixels kNN {pixels:.2f}" in figure["text/plain"] and "0.81" in figure["text/plain"]
    assert "BYOL" not in figure["text/plain"] and f"{pixels:.3f}" in table["text/plain"]


def test_a_row_may_be_added(shown):
    results.results_section(
        more=[{"row": "from scratch", "seed": s, "fine_tuned": 0.9, "labels": 8000} for s in (0, 1)]
    )
    assert "from scratch" in shown[0]["text/plain"] and "fine-tuned 0.90" in shown[1]["text/plain"]


def test_the_health_panel_draws_negative_pairs_of_one_class_apart():
    cards = load("shapes", "val", limit=40)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        encoder = small_resnet(width=4)
        method = SimCLR(encoder, projector(encoder.dim))
    panel = HealthPanel(cards, cards, TrainConfig(batch_size=16), live=False)
    panel({"epoch": 1, "loss": 3.0, "seconds": 1.0}, method)
    first = cards.labels[:16].tolist()
    pairs = [a == b for i, a in enumerate(first) for j, b in enumerate(first) if i != j]
    assert panel.same_class.tolist() == pairs and len(panel.now.negative) == len(pairs) == 16 * 15
    names = [text.get_text() for text in panel.figure().axes[1].get_legend().get_texts()]
    assert names == ["negative, other class", "positive pairs", "negative, same class"]
    assert "kNN accuracy" in panel.alt and "epoch 1 of 20" in panel.alt
