# make run    the default experiment (config.yaml), with everything it needs installed first
# make emoji  experiments/emoji.yaml: captioned drawings, a latent diffusion model with text
# make explain IMAGE=… MODEL=… DATA=…   which training images made a model able to make a picture?
# make explore    look at an experiment in the browser
# make check  lint, format, types, and the quick tests that train nothing
# make test   the same, and all tests
PYTHON ?= python3.11
CORES ?= $(shell nproc)
CONFIG ?= config.yaml
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/constraints.txt
# the scripts run `python`: the environment's own
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: run emoji estimate image explain explore verify tidy clean-replaced adopt report docs check test test-slow test-slurm test-faults bench scaling clean-environment

run: $(VENV)/run.stamp
	@test -f "$(CONFIG)" || { echo "Waypoint: configuration $(CONFIG): there is no such file" >&2; exit 1; }
	@snakemake --cores $(CORES) --configfile $(CONFIG)

emoji: $(VENV)/emoji.stamp
	@snakemake --cores $(CORES) --configfile experiments/emoji.yaml

# make estimate CONFIG=mine.yaml CORES=8   jobs, hours, memory and storage, before anything runs
estimate: $(VENV)/run.stamp
	@OMP_NUM_THREADS=1 python workflow_scripts/estimate.py --configfile $(CONFIG) --cores $(CORES)

# make image FILE=name CONFIG=mine.yaml   one training image's scores for all targets; also written to a CSV, or to OUT=
image: $(VENV)/run.stamp
	@# names with spaces or quotes come as they are: make hands its command line's variables on in the environment
	@OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts python workflow_scripts/image.py --configfile $(CONFIG) $${OUT:+--out "$$OUT"} -- "$$FILE"

# make explain IMAGE=made.png MODEL=models/a DATA=photos/   which training images made the model able to make this?
explain: $(VENV)/run.stamp
	@PYTHONPATH=workflow_scripts python workflow_scripts/explain.py --cores $(CORES) \
		$(if $(IMAGE),--image "$(IMAGE)") $(if $(MODEL),--model "$(MODEL)") $(if $(DATA),--data "$(DATA)") \
		$(if $(LABEL),--label "$(LABEL)") $(if $(PROMPT),--prompt "$(PROMPT)") $(if $(CAPTIONS),--captions "$(CAPTIONS)")

# make explore CONFIG=mine.yaml   makes the experiment's page, serves it on 127.0.0.1 and opens it; TARGET=a packs one target as a file
explore: $(VENV)/run.stamp
	@PYTHONPATH=workflow_scripts python workflow_scripts/explore.py --configfile $(CONFIG) --cores $(CORES) $(if $(TARGET),--target "$(TARGET)")

# make verify CONFIG=mine.yaml           compares every file and chunk of an experiment with its checksum
# make clean-replaced CONFIG=mine.yaml   removes earlier results that were moved aside
# make tidy CONFIG=mine.yaml             lists results that the configuration does not name; REMOVE=true moves them to replaced/
# make adopt CONFIG=mine.yaml            takes over the images and models of a store of an earlier version
verify tidy clean-replaced adopt: $(VENV)/run.stamp
	@OMP_NUM_THREADS=1 PYTHONPATH=workflow_scripts python workflow_scripts/maintain.py $@ --configfile $(CONFIG) $(if $(filter true,$(REMOVE)),--remove)

report: $(VENV)/run.stamp
	snakemake --configfile $(CONFIG) --report report.zip

# make docs   the documentation as a site, in site/
docs: $(VENV)/test.stamp
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# make check   lint, format, types, and the quick tests that train nothing, side by side
QUICK := $(addprefix tests/,workflow/config workflow/plan workflow/figures store/artifacts store/zarr kernels \
	test_imports.py test_readme.py test_docs_build.py test_docs_methods.py test_docs_evaluations.py test_docs_paper.py)
check: $(VENV)/test.stamp
	$(MAKE) --jobs=2 --output-sync=target lint quick

# one process: a second one would import torch and diffusers again, which takes as long as a third of the tests
.PHONY: quick
quick: $(VENV)/test.stamp
	OMP_NUM_THREADS=1 pytest --quiet $(QUICK)

.PHONY: lint
lint: $(VENV)/test.stamp
	ruff check .
	ruff format --check .
	snakefmt --check .
	snakemake --lint
	pyright

test: $(VENV)/test.stamp lint
	tests/install_slurm.sh
	tests/install_chromium.sh
	OMP_NUM_THREADS=1 pytest --numprocesses $(CORES) --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/test.stamp
	pytest -m slow --verbose

# a real Slurm on this machine's loopback, installed from Debian's packages
test-slurm: $(VENV)/test.stamp
	tests/install_slurm.sh
	OMP_NUM_THREADS=1 pytest -m slurm --verbose

# make bench  docs/benchmarks.md (needs a finished run of experiments/digits-lds.yaml), and what the default experiment costs
bench: $(VENV)/bench.stamp
	OMP_NUM_THREADS=$(CORES) python benchmarks/report.py
	rm -rf results/bench
	python benchmarks/overhead.py config.yaml results/bench
	python benchmarks/digits_quality.py results/bench/results/digits

# make scaling  docs/scaling.md: formulas of time, memory and storage against small runs; half an hour of one core
scaling: $(VENV)/run.stamp
	OMP_NUM_THREADS=1 python benchmarks/scaling.py

# make test-faults SEEDS=0:200   accidents to every kind of job; results add up in docs/reliability.md
test-faults: $(VENV)/test.stamp
	PYTHONPATH=workflow_scripts:tests python tests/faults/faults.py $(or $(SEEDS),0:14)

$(VENV)/run.stamp: envs/requirements.txt envs/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --requirement envs/requirements.txt
	touch $@

$(VENV)/emoji.stamp: $(VENV)/run.stamp envs/requirements-emoji.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement envs/requirements-emoji.txt
	touch $@

OPTIONAL := $(addprefix envs/requirements-,test.txt slurm.txt s3.txt huggingface.txt docs.txt)
$(VENV)/test.stamp: $(VENV)/emoji.stamp $(OPTIONAL)
	$(INSTALL) $(addprefix --requirement ,$(OPTIONAL))
	touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp envs/requirements-bench.txt
	$(INSTALL) --requirement envs/requirements-bench.txt
	touch $@

clean-environment:
	rm -rf $(VENV)
