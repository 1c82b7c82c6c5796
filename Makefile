# On a fresh machine with Python 3.11, make and a package index, `make demo` and `make test` do everything.
# Environments live in .venvs/ and are installed anew only when pyproject.toml or constraints/ change.

PYTHON ?=
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
CONFORMANCE_ARGS ?= --profile smoke
FRAMEWORKS ?= torch tensorflow-cpu jax mxnet

ALL := .venvs/all
CORE := .venvs/core
INPUTS := pyproject.toml $(wildcard constraints/*.txt) tools/setup_env.sh
PYTEST := bin/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

.PHONY: help demo conformance test test-all test-x64 test-core lint format env env-core clean

help:
	@echo "make demo       install the four frameworks side by side (once), and run examples/demo.py"
	@echo "make test       the test suite, with all four frameworks and then with none"
	@echo "make test-all   ... only with all four      make test-core   ... only with none"
	@echo "make test-x64   ... only JAX in 64 bits, which is a choice for a whole process"
	@echo "make conformance  judge all four frameworks with generated models; a report in build/conformance"
	@echo "make lint       ruff and mypy               make format      ruff, changing the files"
	@echo "make env        only make $(ALL); make env-core only $(CORE)"
	@echo "make clean      delete the environments, caches and build outputs"
	@echo
	@echo "DEMO_ARGS='--help'      arguments for the demo"
	@echo "CONFORMANCE_ARGS='--profile ci --seed 3'  see unimodule conformance --help"
	@echo "PYTEST_ARGS='-k conv'   arguments for pytest; WORKERS=$(WORKERS) processes"
	@echo "PYTHON=/path/to/python3.11, where it is not found by itself"
	@echo "PIP_EXTRA_INDEX_URL=...           PyTorch's own CPU index, where the usual one has only CUDA builds of torch"
	@echo "Other versions, and each framework by itself: tox"

demo: $(ALL)/.installed
	@test -f examples/demo.py || { echo "examples/demo.py is not in this checkout: git checkout -- examples"; exit 1; }
	@$(ALL)/bin/python examples/demo.py $(DEMO_ARGS) || { status=$$?; echo; \
	echo "The demo failed. Next: '$(ALL)/bin/python -m unimodule.cli backends' says which frameworks work here;"; \
	echo "'make test-all' runs the suite; 'make clean' followed by 'make demo' starts from nothing."; exit $$status; }

conformance: $(ALL)/.installed
	@$(ALL)/bin/unimodule conformance --report build/conformance $(CONFORMANCE_ARGS)

# All passes run even if the first one fails.
test: $(ALL)/.installed $(CORE)/.installed
	@all=0; x64=0; core=0; \
	$(MAKE) --no-print-directory test-all || all=$$?; \
	$(MAKE) --no-print-directory test-x64 || x64=$$?; \
	$(MAKE) --no-print-directory test-core || core=$$?; \
	echo; echo "make test: all four frameworks: $$([ $$all = 0 ] && echo passed || echo FAILED);" \
	"JAX in 64 bits: $$([ $$x64 = 0 ] && echo passed || echo FAILED);" \
	"no framework: $$([ $$core = 0 ] && echo passed || echo FAILED)"; \
	if [ $$all != 0 ] || [ $$x64 != 0 ] || [ $$core != 0 ]; then \
	echo "Next: run one test alone with 'make test-all PYTEST_ARGS=\"-k NAME -x\" WORKERS=0' (or test-core)."; exit 1; fi

test-all: $(ALL)/.installed
	@echo "== tests, all four frameworks ($(ALL)) =="
	@$(ALL)/$(PYTEST)

# What computes in float64; in 32 bits those cases are skipped for JAX.
test-x64: $(ALL)/.installed
	@echo "== tests, JAX in 64 bits ($(ALL)) =="
	@UNIMODULE_TEST_X64=1 UNIMODULE_TEST_BACKENDS=jax $(ALL)/$(PYTEST) tests/adapters tests/nn tests/ops tests/optim

test-core: $(CORE)/.installed
	@echo "== tests, no framework ($(CORE)) =="
	@$(CORE)/$(PYTEST)

lint: $(CORE)/.installed
	@echo "== lint: ruff check, ruff format --check, mypy =="
	@status=0; \
	$(CORE)/bin/ruff check . || status=1; \
	$(CORE)/bin/ruff format --check . || status=1; \
	$(CORE)/bin/mypy || status=1; \
	[ $$status = 0 ] || echo "Next: 'make format' mends layout and what ruff can mend by itself."; exit $$status

format: $(CORE)/.installed
	@$(CORE)/bin/ruff check --fix --exit-zero .
	@$(CORE)/bin/ruff format .

env: $(ALL)/.installed
env-core: $(CORE)/.installed

$(ALL)/.installed: $(INPUTS)
	@PYTHON='$(PYTHON)' tools/setup_env.sh all all.txt $(FRAMEWORKS)

$(CORE)/.installed: $(INPUTS)
	@PYTHON='$(PYTHON)' tools/setup_env.sh core single.txt

clean:
	rm -rf $(ALL) $(CORE) .tox build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .jax_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
