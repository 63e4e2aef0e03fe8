# make demo: super-resolve ./demo into ./output.  make test: lint and tests.  make test-slow: tests that take minutes.
# make torture: kills at random moments, odd and hostile files.
# make results: the figures of the shipped models again, on the test sets in SR_TEST_DATA.
# make test-backends: the tests on JAX and on PyTorch, in environments of their own without TensorFlow.
# make test-optional: what needs packages that are not required, OpenVINO and Ray; `convert.py export` is tested where
# its requirements are installed (tests/runtimes_test.py).
# The first two set up .venv first; VENV=DIR uses the environment in DIR as it is.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN = $(VENV)/bin
given := $(filter-out file undefined default,$(origin VENV))
ready := $(if $(given),$(wildcard $(BIN)/python))

# Tests of several files at a time, each file's by one process, since they share what takes long to make.
PARALLEL = -n auto --dist loadfile

# What does not compute with Keras need not be tested again on each backend.
BACKEND_TESTS = $(addprefix --ignore=tests/, \
	archives_test.py colours_test.py command_line_test.py comparison_browser_test.py \
	comparison_enlarging_test.py comparison_page_test.py conversion_test.py data_test.py degradations_test.py degrading_test.py \
	demo_inputs_test.py engines_test.py evaluate_sets_test.py evaluate_sharing_test.py files_test.py \
	images_test.py install_test.py layout_test.py marks_test.py \
	metadata_test.py pairing_test.py photos_test.py readme_test.py reported_data_test.py \
	reported_photos_test.py resize_test.py shipped_test.py side_information_test.py sources_test.py \
	weights_checkpoint_test.py weights_hostile_test.py weights_names_test.py \
	workers_test.py) tests

.PHONY: demo test test-slow torture results test-backends test-optional setup

demo: setup
	$(BIN)/python demo.py -i ./demo -o ./output

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: setup
	$(BIN)/python -m pytest $(PARALLEL) -m slow --ignore=tests/torture_test.py

torture: setup
	$(BIN)/python -m pytest -n auto --dist load -m slow tests/torture_test.py

results: setup
	$(BIN)/python benchmarks/shipped_models.py --testsets $(SR_TEST_DATA)/testsets

test-backends: .venv-jax/.installed .venv-torch/.installed
	SR_TEST_BACKEND=torch .venv-torch/bin/python -m pytest $(PARALLEL) $(BACKEND_TESTS)
	SR_TEST_BACKEND=jax .venv-jax/bin/python -m pytest $(PARALLEL) $(BACKEND_TESTS)

test-optional: .venv-optional/.installed
	.venv-optional/bin/python -m pytest -n auto --dist load -m "slow or not slow" \
		-k "engines or cluster" $(addprefix tests/, cluster_test.py engines_test.py evaluate_sharing_test.py)

setup: $(if $(ready),,$(VENV)/.installed)

$(VENV)/.installed: requirements/base.txt requirements/tensorflow.txt requirements/test.txt requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements/test.txt
	touch $@

.venv-%/.installed: requirements/base.txt requirements/test.txt requirements/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/$*.txt -r requirements/test.txt
	touch $@

# The optional packages alone; all others are those of $(VENV).
.venv-optional/.installed: requirements/openvino.txt requirements/ray.txt | setup
	$(BIN)/python -m venv .venv-optional
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> $$(echo .venv-optional/lib/python3*/site-packages)/others.pth
	.venv-optional/bin/python -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	touch $@
