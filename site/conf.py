"""The site: `make site` gathers its pages in build/site_sources/ and writes build/site/. Nothing asks another host.

What is written for the site alone lies here; lessons, figures and the project's own pages are copied, so that each
stands in one place.
"""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]
from pages import gather, lesson_list, time_table

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

project = "cl_course"
author = PROJECT["authors"][0]["name"]
copyright = f"{author}, {PROJECT['license']} licence"
release = PROJECT["version"]
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "myst_nb",
    "mathml",
    "pages",
    "live_labs",
]
exclude_patterns = ["README.md"]  # only parts of it are included
templates_path = [str(HERE / "_templates")]

# Lessons are shown as they were built.
nb_execution_mode = "off"
nb_custom_formats = {".ipynb": "pages.read_lesson"}
nb_merge_streams = True
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {"lessons": lesson_list(), "times": time_table()}

napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False
highlight_language = "none"  # of a block that names no language: mostly commands
default_role = "py:obj"  # `name` in a docstring is a link where the name is known, and code elsewhere
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "Contrastive learning, by building it"
html_baseurl = "https://cl-course.github.io/cl_course/"
html_static_path = ["_static", "../cl_course/lessons/shared/js/lab.css", "../figures/minute.png"]
html_css_files = ["lab.css", "site.css"]
html_js_files = [("site.js", {"loading_method": "defer"})]
html_favicon = "_static/mark.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_logo": "mark.svg",
    "dark_logo": "mark.svg",
    "light_css_variables": {"color-brand-primary": "#1f5c99", "color-brand-content": "#1f5c99"},
    "dark_css_variables": {"color-brand-primary": "#7ab8f5", "color-brand-content": "#7ab8f5"},
}


def plain(app, what, name, obj, options, lines):
    """Our docstrings write |a| for a length, which reStructuredText would take for a substitution."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def setup(app):
    gather(Path(app.srcdir))
    app.connect("autodoc-process-docstring", plain)
