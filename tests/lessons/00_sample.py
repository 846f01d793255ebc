# %% [markdown]
# # 00 Sample
#
# A lesson in miniature: what `notebooks/build.py` is tested with. Needs nothing, takes no time.

# %% tags=["setup"]
# set-up cell: inserted by the build

# %% tags=["parameters"]
profile = "auto"  # "quick", "full"
dataset = "auto"  # "shapes", "cifar10", "stl10", or a folder or .zip of images
seed = 0
device = "auto"  # "cpu", "cuda"

# %%
import torch
from IPython.display import display
from ipywidgets import FloatSlider

from cl_course.lessons.shared.exercise import Mistake, compare
from cl_course.running.settings import settings

lesson = settings(globals())

# %%
# NBVAL_CHECK_OUTPUT
print(2 + 2)

# %%
display(FloatSlider(description="strength"))

# %% [markdown]
# ## Exercise


# %% tags=["exercise"]
def my_double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    twice = x + x
    return twice
    ### END SOLUTION


# %%
# The course's own checks are called checks.name(attempt).
compare(
    "double",
    my_double,
    lambda x: 2 * x,
    [(torch.ones(2),)],
    [Mistake("you gave x back unchanged.", lambda x: x)],
    "right.",
)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What is 2x, written as a sum?
#
# </details>
