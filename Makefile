# The commands of the README. Each sets up all it needs: it wants Python 3.11 or newer, git and make.
# Another Python: make book PYTHON=python3.12

PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11 python,\
	$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))) python3)
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help book test test-long test-versions notebooks picture lab lab-source format newest lock environment clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: environment  ## build the book and say where it lies
	@$(RUN) -m book.tools.build

test: environment  ## run every check that CI runs
	@$(RUN) -m book.tools.check

test-long: environment  ## the same with the long forms of the tests; a small Ray cluster is one of them
	@.venv/bin/uv pip install --python .venv --quiet --no-config "ray>=2.9"
	@$(RUN) -m book.tools.check --long

test-versions: environment  ## make test with every Python allowed, the library's tests with the oldest packages; VERSIONS="3.12 oldest" chooses
	@$(RUN) -m book.tools.versions $(VERSIONS)

notebooks: environment  ## write plain-Markdown copies of the notebooks for Colab and classes to _build/colab
	@$(RUN) -m book.tools.portable

picture: book  ## take the README's picture of the live figure from the built book
	@$(RUN) -m book.tools.picture

lab: environment  ## open copies of the notebooks, yours to change, in JupyterLab; LAB="--no-browser --allow-root" passes options
	@$(RUN) -m book.tools.portable --lab
	@$(RUN) -m jupyterlab lab $(LAB)

lab-source: environment  ## open the notebooks that the book is built from in JupyterLab
	@$(RUN) -m jupyterlab notebooks $(LAB)

format: environment  ## bring code and notebooks into shape: ruff, nbstripout
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .
	@$(RUN) -m nbstripout --keep-id notebooks/*.ipynb

newest: environment  ## resolve the newest releases that the ranges allow and install them (CI does it once a week)
	@rm requirements.lock
	@UV_CUSTOM_COMPILE_COMMAND="make newest" .venv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
		--generate-hashes --extra all --group build pyproject.toml -o requirements.lock
	@$(PYTHON) book/tools/environment.py

lock: environment  ## resolve the exact versions again (needs the network; delete requirements.lock first to take the newest)
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --universal --python-version 3.11 \
		--generate-hashes --extra all --group build pyproject.toml -o requirements.lock
	@echo "requirements.lock is written; run make test with it"

environment:  ## make .venv hold what requirements.lock says
	@$(PYTHON) book/tools/environment.py

clean:  ## remove what was built; .venv, runs and lab stay
	@rm -rf _build .pytest_cache .ruff_cache .import_linter_cache
	@echo "Removed _build and the tools' caches. To start from nothing, remove .venv too."
