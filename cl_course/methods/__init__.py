"""The methods, side by side. `method.Method` says what each has; a method of your own derives from it."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from torch import nn

from cl_course.methods.barlow_twins import BarlowTwins
from cl_course.methods.byol import BYOL
from cl_course.methods.dino import DINO
from cl_course.methods.method import Method
from cl_course.methods.moco import MoCo
from cl_course.methods.simclr import SimCLR
from cl_course.methods.simsiam import SimSiam
from cl_course.methods.supcon import SupCon
from cl_course.methods.vicreg import VICReg
from cl_course.models import Prototypes, predictor, projector
from cl_course.values import one_of

METHODS = {
    "simclr": SimCLR,
    "moco": MoCo,
    "byol": BYOL,
    "supcon": SupCon,
    "simsiam": SimSiam,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "dino": DINO,
}
MODULES = ("encoder", "projector", "predictor", "prototypes")  # what `build` makes or is given, and no setting


def build(name: str, encoder: nn.Module, head: Mapping[str, Any] | None = None, **settings) -> Method:
    """A method by name around an encoder, with the course's usual heads.

    Args:
        name: one of METHODS, such as "simclr".
        head: the projector's hidden_dim, out_dim and norm_output, where they are not its defaults. BYOL's predictor has
            the same hidden_dim, SimSiam's a quarter of out_dim; DINO's `prototypes` is how many it has.
        settings: the method's own, such as temperature or momentum.
    """
    one_of("method", name, tuple(METHODS))
    head = dict(head or {})
    count = head.pop("prototypes", 256) if name == "dino" else None
    heads = [projector(encoder.dim, **head)]
    dim = head.get("out_dim", 128)
    if name == "byol":
        heads.append(predictor(dim, head.get("hidden_dim", 128)))
    if name == "simsiam":
        heads.append(predictor(dim, max(1, dim // 4)))
    if name == "dino":
        heads.append(Prototypes(dim, count))
    if name == "moco":
        settings.setdefault("dim", dim)
    known = [setting for setting in signature(METHODS[name]).parameters if setting not in MODULES]
    for setting in settings:
        if setting not in known:
            raise ValueError(f"{name} has no setting {setting!r}; it has {', '.join(known)}")
    return METHODS[name](encoder, *heads, **settings)
