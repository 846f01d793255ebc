"""Lesson 08: published numbers on CIFAR-10 and STL-10, each with what its protocol measured."""

# lightly's CIFAR-10 benchmark (docs/source/getting_started/benchmarks): ResNet-18, 50,000 images, one A6000; kNN with
# k = 200, the best epoch *on test*, one run.
LIGHTLY = tuple(
    {"method": method, "batch": batch, "epochs": epochs, "knn": knn, "minutes": minutes}
    for batch, epochs, rows in (
        (128, 200, (("SimCLR", 84.7, 98), ("MoCo", 83.8, 129), ("BYOL", 86.9, 122))),
        (512, 200, (("SimCLR", 84.8, 87), ("MoCo", 84.7, 112), ("BYOL", 86.8, 108))),
        (512, 800, (("SimCLR", 87.9, 331), ("MoCo", 89.9, 418), ("BYOL", 91.0, 401))),
    )
    for method, knn, minutes in rows
)

# Source, what was trained, accuracy in percent, what that is an accuracy of.
PROTOCOLS = (
    ("SimCLR paper, App. B.9", "CIFAR-10, ResNet-50, batch 1024", "94.0", "linear probe, the best of three T"),
    ("lightly's benchmark", "CIFAR-10, ResNet-18, 200 epochs, batch 512", "SimCLR 84.8, MoCo 84.7, BYOL 86.8",
     "kNN, k = 200; the best epoch on test"),
    ("lightly's benchmark", "the same, 800 epochs", "SimCLR 87.9, MoCo 89.9, BYOL 91.0",
     "kNN, k = 200; the best epoch on test"),
    ("solo-learn", "CIFAR-10, ResNet-18, 1000 epochs, batch 256", "SimCLR 90.7, MoCo v2+ 92.9, BYOL 92.6",
     "a linear layer that is trained beside the encoder, over all epochs"),
    ("MoCo's CIFAR demo", "CIFAR-10, ResNet-18, 200 / 800 epochs, asymmetric", "82.6 / 88.7",
     "kNN on test; which epoch is not said"),
    ("MoCo's CIFAR demo", "the same, symmetric loss", "85.3 / 89.7",
     "kNN on test; which epoch is not said; each image counts twice"),
    ("UvA tutorial 17", "STL-10, ResNet-18, 500 epochs, batch 256", "62.8 to 81.3",
     "logistic regression on 10 to 500 labels a class; the checkpoint chosen on test"),
    ("sthalles/SimCLR", "STL-10, ResNet-18, 40 epochs", "70.3 / 66.2", "logistic regression / kNN"),
    ("Spijkervet/SimCLR", "STL-10, ResNet-18, 40 / 100 epochs", "71.9 / 76.5", "linear probe"),
)  # fmt: skip
