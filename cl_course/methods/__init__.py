"""The methods, side by side. Each has `encoder`, `loss(view1, view2)` and `after_step()`."""

from cl_course.methods.simclr import SimCLR

METHODS = {"simclr": SimCLR}
