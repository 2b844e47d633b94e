# Two commands do everything: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: setup parts demo test check bench accuracy pictures fuzz lock clean

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("sense311 needs Python 3.11 or newer; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@# setuptools warns that folders beside it could shadow the program: they are the program.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation -e .
	@touch $@

# What the tests use beside Python: real servers, from Debian where apt and root are there, and what
# node runs; else the tests that need them skip and say so (and fail under CI=true).
parts:
	@sh deploy/test-parts.sh

demo: setup
	$(BIN)/sense311 demo $(ARGS)

test: setup parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "not slow" --hypothesis-profile quick

bench: setup
	$(BIN)/python tests/bench/run.py $(ARGS)
	$(BIN)/python tests/bench/workbench.py
	$(BIN)/python tests/bench/virtual_time.py

# Every detector on the simulators, and on your own recordings: `make accuracy RECORDINGS=folder`.
accuracy: setup
	$(BIN)/python tests/bench/accuracy.py $(if $(RECORDINGS),--recordings "$(RECORDINGS)") $(ARGS)

# The pictures of the README, from a demo of its own.
pictures: setup parts
	PYTHONPATH=tests $(BIN)/python tests/pictures.py

# Fuzzing of rule files, for FUZZ_SECONDS; guided where its tool builds, else by chance. The tool is
# not among the project's own dependencies, since it does not build everywhere.
FUZZ_SECONDS ?= 60
fuzz: setup
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  -r tests/fuzz/requirements.txt
	$(BIN)/python tests/fuzz/rule_files.py --seconds $(FUZZ_SECONDS) $(ARGS)

# Pins every dependency with its hashes; names no index, so it works with any.
lock: setup
	$(BIN)/pip-compile --quiet --extra dev --strip-extras --generate-hashes --allow-unsafe \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-emit-options --output-file requirements.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --allow-unsafe \
	  --no-header --no-annotate --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --no-emit-options --constraint requirements.txt \
	  --build-deps-for wheel --output-file deploy/requirements.txt pyproject.toml

clean:
	rm -rf .venv
