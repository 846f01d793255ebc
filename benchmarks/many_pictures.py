"""How much memory 100,000 small pictures take, from a folder to votes of their neighbours.

    python benchmarks/many_pictures.py              the folder is made once, in build/many_pictures
    python benchmarks/many_pictures.py --pictures 20000

One process loads every picture, gives features and lets the 80 % of train vote on the rest. Prints the seconds of each
step and the largest memory that the process has held, and ends with 1 where that is above 3 GB.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

from PIL import Image

BAR = 3.0  # GB
SIDE, CLASSES, PACK = 32, 10, 8000
FOLDER = Path(__file__).parent.parent / "build" / "many_pictures"


def make(n: int) -> Path:
    """n drawn cards as PNG files in class folders; what is there already stays."""
    from cl_course.images import shapes

    folder = FOLDER / f"{n}"
    if (folder / "made").exists():
        return folder / "pictures"
    for pack in range(0, n, PACK):
        drawing = shapes.draw("train", seed=pack // PACK, limit=min(PACK, n - pack))
        for number, (pixels, label) in enumerate(zip(drawing.images, drawing.labels), pack):
            path = folder / "pictures" / shapes.CLASS_NAMES[label] / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).save(path, compress_level=1)
    (folder / "made").touch()
    return folder / "pictures"


def peak() -> float:
    """GB that this process has held at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=100_000)
    folder = make(parser.parse_args().pictures)

    from cl_course.data import load_splits
    from cl_course.evaluate import embed, knn_accuracy
    from cl_course.running import checkpoints

    encoder = checkpoints.shipped("simclr_shapes")[0]
    print(f"{'step':<10}{'seconds':>9}{'GB at most':>12}", flush=True)
    last = time.perf_counter()

    def done(step: str) -> None:
        nonlocal last
        now = time.perf_counter()
        print(f"{step:<10}{now - last:>9.0f}{peak():>12.2f}", flush=True)
        last = now

    done("start")
    splits = load_splits(folder)
    done("load")
    h = {split: embed(encoder, images) for split, images in splits.items()}
    done("embed")
    accuracy = knn_accuracy(h["train"], splits["train"].labels, h["test"], splits["test"].labels)
    done("vote")
    n = sum(map(len, splits.values()))
    print(f"{n:,} pictures of {SIDE} x {SIDE}, {3 * SIDE**2 * n / 1e9:.2f} GB of pixels: at most {peak():.2f} GB")
    print(f"bar {BAR:g} GB; 20-NN {accuracy:.3f} on {len(splits['test']):,} of test")
    return int(peak() > BAR)


if __name__ == "__main__":
    sys.exit(main())
