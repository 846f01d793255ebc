"""Redraws figures/, except site.png, and the results tables of the README from records and shipped weights.

python benchmarks/figures.py
"""

import re
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure

from cl_course.data import load, to_float
from cl_course.evaluate import embed, knn_accuracy
from cl_course.lessons.shared.neighbours import embedding_map, neighbour_grid
from cl_course.lessons.shared.results import results_figure, summarise
from cl_course.lessons.shared.tables import mean_and_spread
from cl_course.models import small_resnet
from cl_course.running import checkpoints, records

ROOT = Path(__file__).parent.parent
RESULTS = ("results", "results_cifar10")  # records with a table in the README and a figure
POINTS, NEIGHBOURS, QUERY_CLASSES = 1000, 6, ("star", "cross", "moon", "heart")


def features() -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """Before and after a minute of training: features of train and of test, and the test accuracy of their vote."""
    torch.manual_seed(0)
    before, (after, _) = small_resnet(), checkpoints.shipped("simclr_shapes")
    train, test = load("shapes", "train"), load("shapes", "test")
    found = {}
    for name, encoder in (("before", before), ("after", after)):
        train_h, test_h = embed(encoder, train), embed(encoder, test)
        found[name] = (train_h, test_h, knn_accuracy(train_h, train.labels, test_h, test.labels))
    return found


def minute(found: dict) -> Figure:
    from umap import UMAP

    test = load("shapes", "test")
    titles = {"before": "Random network", "after": "The same after a minute of SimCLR, no labels"}
    points = {
        f"{titles[name]}: kNN {accuracy:.3f}": UMAP(metric="cosine", random_state=0, n_jobs=1).fit_transform(
            test_h[:POINTS].numpy()
        )
        for name, (_, test_h, accuracy) in found.items()
    }
    return embedding_map(points, test.labels[:POINTS].numpy(), test.class_names)


def neighbours(found: dict) -> Figure:
    train, test = load("shapes", "train"), load("shapes", "test")
    queries = torch.tensor([int((test.labels == test.class_names.index(name)).nonzero()[0]) for name in QUERY_CLASSES])

    def cards(images) -> torch.Tensor:
        return to_float(images).movedim(-3, -1).numpy()

    blocks, titles = {}, {"before": "random network", "after": "after a minute of SimCLR"}
    for name, (train_h, test_h, _) in found.items():
        train_h, query_h = (torch.nn.functional.normalize(h, dim=1) for h in (train_h, test_h[queries]))
        nearest = (query_h @ train_h.T).topk(NEIGHBOURS).indices
        right = train.labels[nearest] == test.labels[queries][:, None]
        blocks[titles[name]] = (cards(train.images[nearest]), right.numpy())
    return neighbour_grid(cards(test.images[queries]), blocks)


def results_table(runs: list[dict]) -> str:
    """The record as a Markdown table: mean and standard deviation over seeds."""
    more = {"labels used": lambda of_row: f"{of_row[0]['labels']:,}", "core minutes": _mean("cpu_minutes", 1)}
    return _table(runs, "row", "features", more)


def photos_table(runs: list[dict]) -> str:
    """The long runs on photos in the same form."""
    more = {"epochs": lambda of_row: f"{of_row[0]['epochs']}", "core minutes": _mean("core_minutes", 0)}
    return _table(runs, "run", "features", more)


def readme_tables() -> dict[str, str]:
    """Each table of the README by the name of its record."""
    tables = {name: results_table(records.read(name)["runs"]) for name in RESULTS}
    return tables | {"photos": photos_table(records.read("photos")["runs"])}


def _mean(measure: str, digits: int) -> Callable[[list[dict]], str]:
    return lambda of_row: f"{summarise(of_row, measure)[0]:.{digits}f}"


def _table(runs: list[dict], field: str, heading: str, more: dict[str, Callable[[list[dict]], str]]) -> str:
    columns = [heading, "kNN", "linear probe", *more, "seeds"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in dict.fromkeys(run[field] for run in runs):
        of_row = [run for run in runs if run[field] == row]
        accuracy = [mean_and_spread([run[measure] for run in of_row]) for measure in ("knn", "linear")]
        cells = [row, *accuracy, *(cell(of_row) for cell in more.values()), str(len(of_row))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    readme = ROOT / "README.md"
    results = {name: records.read(name)["runs"] for name in RESULTS}
    for name, table in readme_tables().items():
        table = f"<!-- {name} -->\n{table}\n<!-- end of {name} -->"
        between = re.compile(rf"<!-- {name} -->\n.*?<!-- end of {name} -->", re.DOTALL)
        readme.write_text(between.sub(lambda _, table=table: table, readme.read_text()))
    found = features()
    drawn = {"minute": minute(found), "neighbours": neighbours(found)} | {
        name: results_figure(runs) for name, runs in results.items()
    }
    for name, figure in drawn.items():
        figure.savefig(ROOT / "figures" / f"{name}.png", dpi=110)
        print(f"figures/{name}.png")


if __name__ == "__main__":
    main()
