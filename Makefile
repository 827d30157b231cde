# make help says what there is. Everything goes into .venv, build and the caches that git ignores.

PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
PYTEST_ARGS ?= -n 2 --dist worksteal
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# make test-runtime: an environment for each Python and each file of constraints, without PyTorch and ONNX.
CONSTRAINTS ?=
RUNTIME_NAME = py$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')$(addprefix -,$(basename $(notdir $(CONSTRAINTS))))
RUNTIME_TESTS := tests/runtime $(patsubst %,tests/toolkit/test_%.py,answers_file bench bundle_commands camera camera_web classify cli doctor_nvidia download \
    gates imagenet killed labels on_ray rebuild remote remote_parts report schema stopping supervisor)

DEMO_BUNDLE := build/lenet-int8
BENCHMARKS := build_time startup open_time session_overhead open_close threads int8_accuracy

# Every process would compile every module again: those of pytest rewrite the tests, and the tests start many.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-gpu test-runtime check-wheels schemas docs docs-reference release lint format bench \
    bench-calibration bench-classify clean

help:
	@echo "make demo     build an INT8 LeNet-5 and read ten pictures of digits with it"
	@echo "make test     run the tests (PYTEST_ARGS=... replaces '$(PYTEST_ARGS)')"
	@echo "make test-gpu the tests that need an NVIDIA GPU, with TensorRT or TensorRT for RTX and cuda-python in $(VENV): it"
	@echo "              fails where none can run (PYTEST_ARGS='-x -k parity' runs some of them)"
	@echo "make test-runtime   the tests of what runs on a device, with any PYTHON from 3.10 and without PyTorch and ONNX;"
	@echo "              CONSTRAINTS=constraints-oldest.txt takes the oldest libraries (Python 3.10), else the newest"
	@echo "make check-wheels   whether the device's packages exist for ARM, with sizes; downloads 240 MB"
	@echo "make schemas  write toolkit/schemas again, from the types that commands print"
	@echo "make docs     the documentation as a site, in build/site; fails where a link leads nowhere, or a page loads anything"
	@echo "              from elsewhere"
	@echo "make docs-reference   write docs/reference/cli.md again, from the commands"
	@echo "make release  sdist and wheel in build/dist; installs the wheel in an environment of its own and runs the demo there"
	@echo "make lint     ruff, mypy, import-linter and codespell"
	@echo "make format   let ruff put the code into shape"
	@echo "make bench    run tests/benchmarks; the figures go to build/benchmarks"
	@echo "make bench-classify      AlexNet beside PyTorch, ONNX Runtime, OpenVINO, MNN and ncnn, which it installs"
	@echo "make bench-calibration   our calibration beside that of ONNX Runtime, NNCF and Model Optimizer, which it installs"
	@echo "              into build/venvs: 3 GB; FASHION=FOLDER takes networks for Fashion-MNIST as well"
	@echo "make clean    remove build and the caches; .venv stays"
	@echo
	@echo "PYTHON=... chooses the interpreter of a new .venv: 3.11 or newer (now $(PYTHON))"

demo: $(VENV)/.demo
	$(BIN)/toolkit build lenet --int8 --force -o $(DEMO_BUNDLE)
	$(BIN)/toolkit classify $(DEMO_BUNDLE) examples/digits/*.png

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# One after another: they measure the GPU's memory. PYTEST_ARGS comes from the command line alone.
test-gpu: PYTEST_ARGS =
test-gpu: $(VENV)/.dev
	REQUIRE_GPU=1 $(BIN)/python -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

test-runtime:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: name another Python with PYTHON=..." >&2; exit 1; }
	@$(MAKE) --no-print-directory build/venvs/$(RUNTIME_NAME)/.ready
	build/venvs/$(RUNTIME_NAME)/bin/python -m pytest $(PYTEST_ARGS) $(RUNTIME_TESTS)

check-wheels: $(VENV)/.made
	$(BIN)/python tests/check_wheels.py

schemas: $(VENV)/.dev
	$(BIN)/python -m toolkit.schemas.generate

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet -f docs/site/mkdocs.yml
	$(BIN)/python docs/site/check.py build/site
	@echo "build/site/index.html"

docs-reference: $(VENV)/.dev
	$(BIN)/python docs/site/commands.py

# `build` makes the wheel from the sdist, each in an environment of its own. The demo sees neither this folder nor the user's cache.
release: build/venvs/release/.made
	rm -rf build/dist
	build/venvs/release/bin/python -m build --outdir build/dist . >build/release.log 2>&1 || { cat build/release.log >&2; exit 1; }
	build/venvs/release/bin/twine check --strict build/dist/*
	build/venvs/release/bin/python tests/check_release.py build/dist
	$(PYTHON) -m venv --clear build/venvs/released
	build/venvs/released/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt "$$(echo build/dist/*.whl)[all]"
	set -e; place=$$(mktemp -d); trap 'rm -rf "$$place"' EXIT; root=$$PWD; cd "$$place"; export XDG_CACHE_HOME="$$place/cache"; unset PYTHONPATH; \
	    toolkit=$$root/build/venvs/released/bin/toolkit; $$toolkit --version; $$toolkit build lenet --int8; \
	    $$toolkit verify lenet-int8; $$toolkit classify lenet-int8 $$root/examples/digits/*.png
	@du -sh build/venvs/released; ls -l build/dist

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev
	@mkdir -p build/benchmarks
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python tests/benchmarks/$$name.py; done

bench-calibration: $(VENV)/.dev build/venvs/peers/.made build/venvs/modelopt/.made
	$(BIN)/python tests/benchmarks/calibration_peers.py $(if $(FASHION),--fashion $(FASHION))

bench-classify: $(VENV)/.dev build/venvs/peers/.made
	$(BIN)/python tests/benchmarks/classify.py --picture build/benchmarks/classify.png
	$(BIN)/python tests/benchmarks/classify_layers.py

# What our calibration and our engines are compared with; Model Optimizer wants older libraries, and pulls in CUDA unless told otherwise.
build/venvs/peers/.made:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt nncf==3.4.0 onnx onnxruntime openvino \
	    opencv-python torch mnn==3.6.1 ncnn==1.0.20261020 pnnx==20261020
	@touch $@

build/venvs/modelopt/.made:
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check torch==2.13.0 'onnx~=1.21.0' 'onnxruntime~=1.24.2' \
	    'onnxconverter-common~=1.16.0' onnxscript 'onnxslim>=0.1.76' 'polygraphy>=0.53.4' 'onnx-graphsurgeon>=0.6.1' cppimport \
	    lief ml_dtypes ninja 'nvidia-ml-py>=12' tqdm PyYAML 'omegaconf>=2.3.0' 'pulp<4.0' pydantic regex rich safetensors scipy
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check --no-deps nvidia-modelopt==0.47.0
	@touch $@

build/venvs/release/.made: constraints.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt build==1.6.1 twine==7.0.0
	@touch $@

clean:
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# An empty file marks each step that is done; a change of the requirements does it again. What the tests need includes
# what the demo needs.

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) here: install Python 3.11, or name one with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1): constraints.txt needs 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python -m venv failed: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing PyTorch, ONNX, ONNX Runtime and OpenVINO into $(VENV): about 1.6 GB on disk with a CPU build of"
	@echo "PyTorch (README: Installation), a minute or two once they are downloaded"
	@$(PIP) -e '.[export,cpu]' || { echo "pip failed; what it says stands above. Once that is mended, 'make demo' goes on from here" >&2; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing the toolkit with PyTorch, the test and lint tools into $(VENV): about 2 GB on disk with a CPU build"
	@echo "of PyTorch (README: Installation), a minute or two once they are downloaded"
	@$(PIP) -e '.[export,cpu,ray,experiments,models,rtx,cuda,test,dev]' || { echo "pip failed; what it says stands above. Once that is mended, run make again" >&2; exit 1; }
	@touch $(VENV)/.demo $@

$(VENV)/.docs: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing mkdocs into $(VENV): 120 MB on disk beside what the toolkit itself needs"
	@$(PIP) -e '.[docs]' || { echo "pip failed; what it says stands above. Once that is mended, run make again" >&2; exit 1; }
	@touch $@

build/venvs/%/.ready: pyproject.toml $(CONSTRAINTS)
	@echo "Making build/venvs/$* with $$($(PYTHON) -V): about 0.5 GB on disk"
	@$(PYTHON) -m venv --clear build/venvs/$* || { echo "python -m venv failed: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@build/venvs/$*/bin/python -m pip install -qq --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS)) -e '.[cpu,test]' || { echo "pip failed; what it says stands above" >&2; exit 1; }
	@touch $@
