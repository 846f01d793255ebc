# Every target makes .venv first where it is missing, with plain venv and pip.
#   make lab                        the course in JupyterLab
#   make lab LAB_FLAGS=--no-browser more flags for `jupyter lab`
#   make test PYTHON=python3.12     another Python for a new .venv
# A torch that is already in .venv stays as it is: install a CPU build first to keep it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LAB_FLAGS ?=

.PHONY: help lab course check test notebooks labs site minutes lines figures bench clean

help:
	@echo "make lab        open the course in JupyterLab"
	@echo "make course     run every lesson headless into build/course/"
	@echo "make check      ruff and the fast tests, in under a minute"
	@echo "make test       ruff, every test, every notebook"
	@echo "make notebooks  build and execute notebooks/*.ipynb from notebooks/src"
	@echo "make labs       bundle the labs' JavaScript (needs Node.js; the bundles are committed)"
	@echo "make site       write the site, with all lessons and labs, into build/site/"
	@echo "make minutes    words, lines, exercises and minutes of each lesson"
	@echo "make lines      lines of the library, room by room"
	@echo "make figures    redraw figures/"
	@echo "make bench      measure ours beside the peers"
	@echo "make clean      delete build/ and caches (.venv stays)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cl-course needs Python 3.11 or newer, and '$(PYTHON)' is not: name one with make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -f $(BIN)/python*; exit 1; }

# pip may not replace the torch and torchvision it finds: their exact versions become constraints.
install = @echo "installing into $(VENV): several minutes the first time"; \
	$(BIN)/python -m pip freeze --exclude-editable | grep -E '^(torch|torchvision)==' > $(VENV)/keep.txt || true; \
	$(BIN)/python -m pip install --quiet --constraint $(VENV)/keep.txt --editable

$(VENV)/installed-lab: pyproject.toml | $(BIN)/python
	$(install) '.[lab]'
	@touch $@

$(VENV)/installed-site: pyproject.toml | $(BIN)/python
	$(install) '.[site]'
	@touch $@

$(VENV)/installed-all: pyproject.toml | $(BIN)/python
	$(install) '.[dev,bench,models]'
	@touch $@ $(VENV)/installed-lab $(VENV)/installed-site

# JupyterLab's question about news would cover the first lesson. This is the default of this .venv alone.
NEWS := $(VENV)/share/jupyter/lab/settings/overrides.json
$(NEWS): | $(VENV)/installed-lab
	@mkdir -p $(@D)
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' > $@

lab: $(VENV)/installed-lab $(NEWS)
	$(BIN)/jupyter lab --ip=127.0.0.1 $(LAB_FLAGS) notebooks/00_start_here.ipynb

course: $(VENV)/installed-all
	$(BIN)/python -m cl_course run all --solved --out build/course

# In three parts side by side, each with one thread: much of a test is waiting for a browser, a kernel or a process. What
# the first two say is shown when the third has ended; $(1) goes to all, $(2) to the third.
define parts
	@mkdir -p build; export OMP_NUM_THREADS=1; run() { $(BIN)/python -m pytest $(1) "$$@"; }; \
	run tests/lessons tests/running >build/tests_lessons.log 2>&1 & lessons=$$!; \
	run tests/coursework >build/tests_coursework.log 2>&1 & coursework=$$!; \
	run --ignore=tests/lessons --ignore=tests/coursework --ignore=tests/running $(2); failed=$$?; \
	wait $$lessons || failed=1; wait $$coursework || failed=1; \
	cat build/tests_lessons.log build/tests_coursework.log; exit $$failed
endef

check: $(VENV)/installed-all
	$(BIN)/python -m ruff check .
	$(call parts,-q -m "not slow")
	@echo "checked: ruff, and every test that tests/conftest.py does not list as slow; make test runs the rest as well"

test: $(VENV)/installed-all
	$(BIN)/python -m ruff check .
	$(call parts,,--ignore=tests/test_notebooks.py)
	$(BIN)/python -m pytest tests/test_notebooks.py

notebooks: $(VENV)/installed-all
	$(BIN)/python notebooks/build.py

# Only for those who change a lab's JavaScript: what learners need is committed.
labs:
	cd labs && npm ci --silent && node bundle.mjs

# From nothing each time: it takes less than a minute, and no page of before stays.
site: $(VENV)/installed-site
	@rm -rf build/site build/site_sources && mkdir -p build/site_sources
	$(BIN)/python -m sphinx -q -W --keep-going -c site -d build/site_doctrees build/site_sources build/site
	@echo "the site: build/site/index.html"

minutes: $(VENV)/installed-all
	$(BIN)/python notebooks/minutes.py

lines: | $(BIN)/python
	@$(BIN)/python benchmarks/lines.py

figures: $(VENV)/installed-all
	$(BIN)/python benchmarks/figures.py

# record_* train for hours and are run by hand, figures.py and site_picture.py draw; what is left measures. All run, then the missed bars fail.
bench: $(VENV)/installed-all
	@missed=; for script in $$(grep -l __main__ benchmarks/*.py | grep -vE '/(record_.*|figures|site_picture)\.py'); do \
		echo "== $$script"; $(BIN)/python $$script || missed="$$missed $$script"; done; \
	test -z "$$missed" || { echo "bars missed in$$missed"; exit 1; }

clean:
	rm -rf build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
