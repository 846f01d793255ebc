"""Records what augmentations of three strengths make an encoder keep and forget: lesson 01.

python benchmarks/record_augmentation.py
"""

from dataclasses import asdict, replace

from runs import judge, record_all, shapes, simclr

from cl_course.augment import AugmentConfig
from cl_course.evaluate import embed
from cl_course.running import records
from cl_course.train import TrainConfig

CONFIG = TrainConfig()
STRENGTHS = {
    "weak": AugmentConfig(jitter=0, grey=0),  # crop and flip only: the colours stay
    "right": AugmentConfig(),
    "strong": AugmentConfig(
        crop=(0.03, 0.15), brightness=0.9, contrast=0.9, saturation=0.9, grey=0.5, blur=0.5, solarize=0.3
    ),
}


def run(setting: str, seed: int) -> dict:
    method = simclr(seed, replace(CONFIG, augment=STRENGTHS[setting]))
    measured = judge(*shapes(), lambda images: embed(method.encoder, images), probes=True)
    return {"setting": setting, "seed": seed} | measured


if __name__ == "__main__":
    runs, minutes = record_all(
        "augmentation", run, [{"setting": s, "seed": seed} for seed in range(3) for s in STRENGTHS]
    )
    config = asdict(CONFIG) | {"augment": {name: asdict(augment) for name, augment in STRENGTHS.items()}}
    records.write(
        "augmentation_strength",
        room="lessons/two_views",
        script="benchmarks/record_augmentation.py",
        about=(
            "SimCLR on shapes under augmentations of three strengths: "
            "accuracy on test, and R^2 of a linear read-out of each factor (accuracy for the class)."
        ),
        config=config,
        runs=runs,
        minutes=minutes,
    )
