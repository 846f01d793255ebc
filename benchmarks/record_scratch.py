"""Records how hard the line to beat is: lesson 06.

Training from scratch with SimCLR's augmentation, and with four times the steps.

    python benchmarks/record_scratch.py      record `from_scratch`

There are two objections to comparing a pre-trained network with one from scratch. The augmentation of pre-training
says what does not matter, such as hues, and training from scratch with crops and flips does not have that. And a
network that starts from a good place needs fewer steps, so a comparison after few steps favours it (He, Girshick &
Dollár 2018, arXiv:1811.08883). Choices as in record_few_labels.py.
"""

from dataclasses import replace
from itertools import product

from record_few_labels import CONFIG, SHARES, STEPS, images_of, make_missing, with_all_seeds
from record_results import matched
from runs import kept_encoder

from cl_course.evaluate import few_labels
from cl_course.finetune import accuracy, choose_classifier
from cl_course.running import records

LONGER = 4  # times the steps, at a tenth of the labels
CROPS, PRETRAINING = "crop and flip", "as in pre-training"


def run(
    source: str, target: str, share: float, how: str, steps: int, augment: str, seed: int, rates: list[float]
) -> dict:
    """A SimCLR encoder of `source`, judged on `target`: fine-tuned ("all"), or drawn anew first ("scratch")."""
    train, val, test = (
        few_labels(images_of(target, "train"), share, seed),
        images_of(target, "val"),
        images_of(target, "test"),
    )
    config = replace(CONFIG, steps=steps, learning_rates=tuple(rates))
    if augment == PRETRAINING:
        config = replace(config, augment=matched("simclr", target, seed).config.augment)
    classifier, rate, on_validation = choose_classifier(
        kept_encoder("SimCLR", source, seed), train, val, layers=how, seed=seed, config=config
    )
    measured = {
        "source": source,
        "target": target,
        "share": share,
        "how": how,
        "steps": steps,
        "augment": augment,
        "seed": seed,
        "labels": len(train),
    }
    return measured | {"chosen": rate, "val": round(on_validation, 4), "accuracy": round(accuracy(classifier, test), 4)}


def main() -> None:
    spent = make_missing([("SimCLR", "shapes"), ("SimCLR", "cifar10")])
    keys = ("source", "target", "share", "how", "steps", "augment")
    settings = [
        (target, target, share, "scratch", STEPS[share], PRETRAINING)
        for target, share in product(("shapes", "cifar10"), SHARES)
    ]
    for target, other in (("shapes", "cifar10"), ("cifar10", "shapes")):
        longer = LONGER * STEPS[0.1]
        settings += [(target, target, 0.1, "scratch", longer, augment) for augment in (CROPS, PRETRAINING)]
        settings += [(source, target, 0.1, "all", longer, CROPS) for source in (other, target)]
    runs, minutes = with_all_seeds("scratch", run, [dict(zip(keys, setting)) for setting in settings])
    records.write(
        "from_scratch",
        room="lessons/what_did_it_learn",
        script="benchmarks/record_scratch.py",
        about=(
            "Accuracy on test: training from scratch with SimCLR's augmentation, "
            "and with four times the steps, beside fine-tuning with as many."
        ),
        config={"learning_rates": CONFIG.learning_rates, "batch_size": CONFIG.batch_size},
        runs=runs,
        minutes=spent + minutes,
    )


if __name__ == "__main__":
    main()
