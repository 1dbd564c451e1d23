# One vocabulary for people, hooks and CI. `make` alone lists the targets.
PYTHON ?= python3.11
JOB_PYTHONS ?= python3.11 python3.12  # Databricks runs jobs on 3.12
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-text demo-embeddings demo-forecast demo-series test test-spark test-torch test-text test-forecast check-extras test-jobs torch tensorflow text forecast spark features docs check bench format schema lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

DOCS := build/docs
# Of an extra, beside the lock of all other packages: those that it adds.
EXTRA_LOCK := --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet
CATALOGUE := target/feature_catalogue/site
SERVE_CATALOGUE = $(BIN)/python -m http.server --bind 127.0.0.1 --directory $(CATALOGUE) $(or $(PORT),0)

# Each command as a person would type it with the environment active.
show = @printf '\n\033[1m$$ %s\033[0m\n' '$(1)'; PATH="$(abspath $(BIN)):$$PATH" $(1)

demo: $(READY)  ## run the whole pipeline, from raw data to a served endpoint (about two minutes; VERBOSE=1: with dbt's log)
	$(call show,python -m lakehouse.build)
	$(call show,python -m training.features)
	$(call show,python -m training.publish --online)
	$(call show,python -m training.run --use-case term_deposit)
	$(call show,python -m deployment.run promote --use-case term_deposit) || test $$? -eq 3  # 3: not promoted
	$(call show,python -m deployment.run serve --use-case term_deposit --detach)
	$(call show,python -m deployment.run ask --use-case term_deposit)
	$(call show,python -m deployment.run replay --use-case term_deposit --input staging.stg_bank_contacts --newest 7121 --seconds 3 --shift age=15)
	$(call show,python -m deployment.run monitor --use-case term_deposit --since 2m --window 1s) || test $$? -eq 4  # 4: alert

demo-text: $(READY)  ## the same for a model that reads texts: reviews of clothes, from raw data to a served endpoint (about two minutes)
	$(call show,python -m lakehouse.build --select tag:clothing_reviews)
	$(call show,python -m training.run --use-case recommended)
	$(call show,python -m deployment.run promote --use-case recommended) || test $$? -eq 3  # 3: not promoted
	$(call show,python -m deployment.run serve --use-case recommended --detach)
	$(call show,python -m deployment.run ask --use-case recommended)

demo-embeddings: text  ## the same with embeddings of a pretrained transformer in place of words (about ten minutes)
	$(call show,python -m lakehouse.build --select tag:clothing_reviews +tag:review_embeddings)
	$(call show,python -m training.run --use-case recommended_by_meaning)
	$(call show,python -m deployment.run promote --use-case recommended_by_meaning) || test $$? -eq 3  # 3: not promoted
	$(call show,python -m deployment.run serve --use-case recommended_by_meaning --detach)
	$(call show,python -m deployment.run ask --use-case recommended_by_meaning)

demo-forecast: $(READY)  ## the same for forecasts: daily revenue of each German state, 14 days ahead, looked up by key (about two minutes)
	$(call show,python -m lakehouse.build --select +tag:regional_revenue --exclude-resource-type unit_test)
	$(call show,python -m training.run --use-case regional_revenue)
	$(call show,python -m deployment.run promote --use-case regional_revenue) || test $$? -eq 3  # 3: not promoted
	$(call show,python -m training.publish --online gold.region_revenue_features)
	$(call show,python -m deployment.run serve --use-case regional_revenue --detach)
	$(call show,python -m deployment.run ask --use-case regional_revenue)

demo-series: forecast  ## the same with statistical models of each state's own series (about three minutes)
	$(call show,python -m lakehouse.build --select +tag:series_forecasts tag:regional_revenue --exclude-resource-type unit_test)
	$(call show,python -m training.run --use-case regional_revenue_by_series)
	$(call show,python -m deployment.run promote --use-case regional_revenue_by_series) || test $$? -eq 3  # 3: not promoted
	$(call show,python -m training.publish --online gold.region_revenue_features)
	$(call show,python -m training.publish --online gold.region_revenue_fit_features)
	$(call show,python -m deployment.run serve --use-case regional_revenue_by_series --detach)
	$(call show,python -m deployment.run ask --use-case regional_revenue_by_series)

test: $(READY)  ## every test this machine can run
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder  # files with few tests are the slow ones

test-spark: $(READY)  ## the tests that need JVM Spark (Java 17); they also run with `make test` where Java is
	@$(BIN)/python -m pytest -m jvm

spark: $(READY)  ## run JVM Spark with Delta as a Spark Connect server (Java 17)
	@$(BIN)/python -m benchmarks.harness.jvm_spark

test-torch: torch tensorflow text  ## the tests of neural networks, which `make test` skips without PyTorch and Keras
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit/networks tests/contract/training/test_network_on_spark.py \
		tests/contract/training/test_network_lifecycle.py tests/e2e/test_network_forecasts.py

test-text: text  ## the tests of embeddings, which `make test` skips without a tokenizer
	@$(BIN)/python -m pytest tests/e2e/test_embeddings.py

test-forecast: forecast  ## the tests of models of single series, which `make test` skips without the extra
	@$(BIN)/python -m pytest tests/unit/training/test_series_fits.py tests/e2e/test_series_forecasts.py \
		tests/contract/training/test_series_fits_on_spark.py

check-extras: test-torch test-text test-forecast  ## the tests of all extras, which install 6 GB

torch: $(VENV)/.torch  ## install PyTorch (the extra torch, 4 GB) into the environment, pinned by hashes
tensorflow: $(VENV)/.tensorflow  ## install TensorFlow with Keras (the extra tensorflow, 1.4 GB), pinned by hashes

text: $(VENV)/.text  ## install a tokenizer and a pretrained transformer (the extra text, 130 MB), pinned by hashes

forecast: $(VENV)/.forecast  ## install statistical models of series (the extra forecast, 20 MB), pinned by hashes

# A changed requirements.lock takes extras away, and these put them back.
$(VENV)/.torch $(VENV)/.tensorflow $(VENV)/.text $(VENV)/.forecast: $(VENV)/.%: resources/%.lock $(READY)
	@echo "Adding $* to $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --requirements $<
	@touch $@

test-jobs: $(READY)  ## each task of the bundle in a fresh environment, on Python 3.11 and 3.12 where they are here (about five minutes each)
	@$(BIN)/python -m tests.package.run_jobs $(JOB_PYTHONS)

features: $(READY)  ## dbt docs and the feature catalogue as pages; on a terminal, serves them until Ctrl-C
	@$(BIN)/dbt --quiet docs generate --static
	@$(BIN)/python -m training.catalogue.manifest target/manifest.json target/feature_catalogue/manifest.json
	@$(BIN)/dbt-features build --manifest target/feature_catalogue/manifest.json --output $(CATALOGUE)
	@cp target/static_index.html $(CATALOGUE)/dbt.html
	@echo "$(CATALOGUE)/index.html is the feature catalogue, and dbt.html beside it dbt's pages"
	@if [ -t 1 ]; then $(SERVE_CATALOGUE) || test $$? -eq 130; \
		else echo "Its search needs a web server: $(SERVE_CATALOGUE)"; fi

docs: $(READY) $(DOCS)/.ready  ## the documentation as a site with offline search; warnings are errors
	@$(BIN)/python -m resources.site.sources target/docs/source
	@$(DOCS)/bin/sphinx-build -q -W --keep-going -b html -d target/docs/doctrees target/docs/source target/docs/html
	@echo "open target/docs/html/index.html"

$(DOCS)/.ready: resources/docs.lock $(READY)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DOCS)
	@$(BIN)/uv pip sync --quiet --python $(DOCS) --require-hashes resources/docs.lock
	@touch $@

check: $(READY)  ## lint, format, types, import layers, Databricks bundle, workflows, dead links, feature metadata and promises
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m resources.bundle
	@$(BIN)/zizmor --quiet --offline .github/workflows
	@$(BIN)/md-dead-link-check
	@$(BIN)/dbt --quiet parse --target-path target/check
	@$(BIN)/dbt-features lint --strict --manifest target/check/manifest.json
	@$(BIN)/python -m training.features --check --manifest target/check/manifest.json

bench: $(READY)  ## benchmarks, side by side in one run
	@$(BIN)/python -m benchmarks.run $(ONLY)

format: $(READY)  ## rewrite the code in the project's format
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

schema: $(READY)  ## write the JSON schema of use-case files again
	@$(BIN)/python -m training.use_case.json_schema

lock: $(READY)  ## write every lock and the jobs' requirements from pyproject.toml again
	@$(BIN)/uv pip compile pyproject.toml --extra dev --extra optuna --extra otel --extra postgres --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --quiet --output-file requirements.lock
	@$(BIN)/uv pip compile --group pyproject.toml:release --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --quiet --output-file resources/release.lock
	@$(BIN)/uv pip compile --group pyproject.toml:docs --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --quiet --output-file resources/docs.lock
	@$(BIN)/python -m resources.requirements
	@$(BIN)/python -m resources.requirements torch | $(BIN)/uv pip compile - --constraints requirements.lock \
		--overrides resources/torch.overrides $(EXTRA_LOCK) --output-file resources/torch.lock
	@$(BIN)/python -m resources.requirements tensorflow | $(BIN)/uv pip compile - --constraints requirements.lock \
		--constraints resources/torch.lock $(EXTRA_LOCK) --output-file resources/tensorflow.lock
	@$(BIN)/python -m resources.requirements text text-models | $(BIN)/uv pip compile - --no-deps \
		--constraints requirements.lock $(EXTRA_LOCK) --output-file resources/text.lock
	@$(BIN)/python -m resources.requirements forecast | $(BIN)/uv pip compile - --constraints requirements.lock \
		$(EXTRA_LOCK) --output-file resources/forecast.lock

clean:  ## delete all generated files except the virtual environment
	@test ! -x $(BIN)/python || $(BIN)/python -m deployment.run stop
	rm -rf warehouse mlflow.db mlartifacts target logs reports .serving .trials build dist

# uv installs the environment in seconds, and it is itself pinned in the lock: pip checks its hashes first.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 is needed and '$(PYTHON)' is not it. Name yours: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^[^ #]/ {uv = /^uv==/} uv' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@# Compiled now, or the first run of each command would spend half its time on it.
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

include .github/release.mk
