"""Shapes in signatures, checked at run time.

`@checked` makes jaxtyping and beartype hold every call against the shapes its signature
states (about 70 microseconds a call): two arguments that share the letter `n` must have the
same n, or a TypeError names the argument, its shape and the signature.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import Float, Int64, jaxtyped
from torch import Tensor

Embeddings = Float[Tensor, "n d"]  # one vector a row
Images = Float[Tensor, "n 3 h w"]  # RGB, values in [0, 1]
Labels = Int64[Tensor, " n"]
PerImage = Float[Tensor, " n"]  # one number for each image
Scalar = Float[Tensor, ""]

# The numeric tower lets an int pass for a float: `temperature=1` is no mistake.
_typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))
checked = jaxtyped(typechecker=_typechecker)
