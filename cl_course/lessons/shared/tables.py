"""Tables on the page: real HTML tables, which screen readers can walk through cell by cell."""

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np
from IPython.display import display

MISSING = "–"
LABELS = {"temperature": "temperature", "augment": "augmentation", "batch_size": "batch size"}  # of what runs vary in
Cell = str | int | float | None


def mean_and_spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean and standard deviation over seeds (of a sample, n - 1): "0.912 ± 0.004"; one value stands alone.

    Args:
        values: one a seed; none gives the sign for a missing value.
    """
    if len(values) == 0:
        return MISSING
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def show_table(rows: Sequence[Sequence[Cell]], columns: Sequence[str], caption: str = "") -> None:
    """Display a table under a cell; where HTML is not shown, the same as aligned text.

    Args:
        rows: cells; the first cell of a row is its heading. Numbers with a point get three digits, None a dash.
        columns: one heading for each cell of a row.
        caption: one line above the table.

    Raises:
        ValueError: a row has more or fewer cells than there are columns.
    """
    display(
        {"text/html": html_table(rows, columns, caption), "text/plain": text_table(rows, columns, caption)}, raw=True
    )


def html_table(rows: Sequence[Sequence[Cell]], columns: Sequence[str], caption: str = "") -> str:
    """The table as HTML; arguments as in `show_table`."""
    rows = _checked(rows, columns)
    side = ["left", *("right" if _is_numeric([row[i] for row in rows]) else "left" for i in range(1, len(columns)))]

    def cells(texts: Sequence[str], first: str, other: str) -> str:
        tags = [first, *[other] * (len(texts) - 1)]
        return "".join(
            f'<{tag} style="text-align: {at}">{html.escape(text)}</{tag.split()[0]}>'
            for tag, at, text in zip(tags, side, texts)
        )

    of_column, of_row = 'th scope="col"', 'th scope="row"'
    head = f"<thead><tr>{cells(columns, of_column, of_column)}</tr></thead>"
    body = "".join(f"<tr>{cells(row, of_row, 'td')}</tr>" for row in rows)
    above = f'<caption style="text-align: left">{html.escape(caption)}</caption>' if caption else ""
    return f"<table>{above}{head}<tbody>{body}</tbody></table>"


def text_table(rows: Sequence[Sequence[Cell]], columns: Sequence[str], caption: str = "") -> str:
    """The table as aligned text; arguments as in `show_table`."""
    lines = [list(columns), *_checked(rows, columns)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]).rstrip()
        for line in lines
    ]
    return "\n".join([caption, *text] if caption else text)


def _checked(rows: Sequence[Sequence[Cell]], columns: Sequence[str]) -> list[list[str]]:
    rows = [[_text(cell) for cell in row] for row in rows]
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row has {len(row)} cells, but there are {len(columns)} columns: {row}")
    return rows


def _text(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return MISSING
    if isinstance(cell, float | np.floating):
        return f"{cell:.3f}"
    return f"{cell:,}" if isinstance(cell, int | np.integer) and not isinstance(cell, bool) else str(cell)


def _is_numeric(texts: Sequence[str]) -> bool:
    return all(text == MISSING or text.lstrip("+-−")[:1].isdigit() for text in texts)


def show_runs(
    runs: Sequence[Mapping], rows: Sequence[str], column: str, measure: str = "knn", caption: str = ""
) -> None:
    """Display recorded runs as a table: mean ± standard deviation over the seeds of every setting.

    Args:
        runs: one dict a run, with `measure` and a value for each of `rows` and for `column`.
        rows: what was varied from row to row; one column of headings each.
        column: what was varied from left to right.
    """
    show_table(*runs_table(runs, rows, column, measure), caption)


def runs_table(
    runs: Sequence[Mapping], rows: Sequence[str], column: str, measure: str = "knn"
) -> tuple[list[list[str]], list[str]]:
    """The rows and the columns that `show_runs` shows; a setting with no run gets a dash."""
    values = list(dict.fromkeys(run[column] for run in runs))
    heads = [value if isinstance(value, str) else f"{LABELS.get(column, column)} {value}" for value in values]
    table = []
    for setting in dict.fromkeys(tuple(run[row] for row in rows) for run in runs):
        of_row = [run for run in runs if tuple(run[row] for row in rows) == setting]
        cells = [mean_and_spread([run[measure] for run in of_row if run[column] == value]) for value in values]
        table.append([*map(str, setting), *cells])
    return table, [*(LABELS.get(row, row) for row in rows), *heads]
