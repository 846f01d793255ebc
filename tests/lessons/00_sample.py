# %% [markdown]
# # 00 Sample
#
# A lesson in miniature, on which the build is tested. Time: {minutes} minutes, {deeper_minutes} for the rest.

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

from cl_course.lessons.shared.exercise import Exercise, Mistake, call
from cl_course.running.settings import settings

lesson = settings(globals())

# %%
# NBVAL_CHECK_OUTPUT
print(2 + 2)

# %%
display(FloatSlider(description="strength"))

# %% [markdown]
# ### Exercise 1: twice (10 min, easy)


# %% tags=["exercise"]
def my_double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    twice = x + x
    return twice
    ### END SOLUTION


# %%
# The course's own checks are called checks.name(attempt).
Exercise(
    "double",
    observe=lambda double: call(double, torch.ones(2)),
    make=lambda factor=2: lambda x: factor * x,
    mistakes=[Mistake("you gave x back unchanged.", {"factor": 1})],
    praise="right.",
)(my_double)

# %% [markdown] tags=["hints"]
# <details><summary>Hint 1</summary>
#
# What is 2x, written as a sum?
#
# </details>

# %% [markdown]
# ## Going deeper: thrice
#
# What is 3x, written as a sum? Nine words of it.

# %% tags=["folded"]
# Prints 3x
print(3 * torch.ones(1))

# %% [markdown]
# ## The end
