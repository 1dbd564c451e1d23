# The steps of .github/workflows/release.yml; `make release-rehearsal` runs them here, against stand-ins.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BUILD  := build
.PHONY: dist test-dist sbom lint-workflows check-tag release-notes deploy integration smoke release-rehearsal

dist: $(READY)  ## build the wheel and the source archive, the same bytes each time
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist

test-dist: dist  ## install the wheel in a fresh environment, and run its commands in an empty folder
	@rm -rf $(BUILD) && mkdir -p $(BUILD)/empty
	@$(BIN)/uv venv --quiet --python $(PYTHON) $(BUILD)/venv
	@$(BIN)/uv pip install --quiet --python $(BUILD)/venv --constraints requirements.lock dist/*.whl
	@cd $(BUILD)/empty && for module in training.run training.score deployment.run; do \
		../venv/bin/python -m $$module --help > help.txt && grep -q Usage: help.txt || exit 1; done
	@$(BIN)/uv pip check --quiet --python $(BUILD)/venv
	@echo "dist/ holds $$(cd dist && ls | paste -sd' ')"

sbom: test-dist  ## list the components of the installed wheel (CycloneDX)
	@$(BIN)/uv venv --quiet --python $(PYTHON) $(BUILD)/tools
	@$(BIN)/uv pip sync --quiet --python $(BUILD)/tools --require-hashes resources/release.lock
	@$(BUILD)/tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		--output-file dist/sbom.json $(BUILD)/venv
	@echo "dist/sbom.json lists $$(grep -c '"bom-ref"' dist/sbom.json) components"

lint-workflows: $(READY)  ## actionlint on the workflows; needs Go
	@GOBIN=$(abspath $(BUILD))/bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
	@$(BUILD)/bin/actionlint

check-tag:  ## refuse a TAG that is not the version, or is not in the changelog
	@test "$(TAG)" = "v$(VERSION)" || { echo "The tag is $(TAG), and pyproject.toml has version $(VERSION)" >&2; exit 1; }
	@grep -q '^## $(VERSION), [0-9-]*$$' CHANGELOG.md || \
		{ echo "CHANGELOG.md has no heading '## $(VERSION), DATE'" >&2; exit 1; }

release-notes:  ## the part of the changelog for this version
	@awk '/^## / { shown = index($$0, "## $(VERSION)") == 1; next } shown' CHANGELOG.md

deploy:  ## check the bundle strictly, and deploy it to TARGET
	databricks bundle validate --strict --target $(TARGET)
	databricks bundle deploy --target $(TARGET)

integration:  ## run the jobs of TARGET once: features, then training, which starts the deployment job
	databricks bundle run --target $(TARGET) features
	databricks bundle run --target $(TARGET) training

smoke: $(READY)  ## send the golden request of term_deposit to the endpoint of TARGET in the workspace
	@FEATURE_STORE=databricks MLFLOW_TRACKING_URI=databricks NAME_PREFIX=$(if $(filter staging,$(TARGET)),staging_) \
		$(BIN)/python -m deployment.run ask --use-case term_deposit

release-rehearsal: sbom  ## build, test the wheel, list its components, then deploy, ask and roll back against stand-ins
	@$(BUILD)/venv/bin/python tests/package/rehearsal.py
