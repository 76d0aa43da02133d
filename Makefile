# All the set-up there is: `make drive` and `make test` make .venv by themselves, the first time.
#   make drive ARGS="--seconds 20 --seed 3"     make test ARGS="tests/circuits -k bounds"
#   make setup PYTHON=/path/to/python3.12       where the right one is not on the PATH
VENV := .venv
READY := $(VENV)/.ready
ARGS ?=
TEST_WORKERS ?= 2

# Another ROS 2 in this shell would mix its libraries with the ones in .venv: leave it out.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport ROS_DISTRO PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
endif

.PHONY: help setup drive quick test test-all docs lint doctor clean
.DEFAULT_GOAL := help

help:  ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: $(READY)  ## make .venv, install everything, check OpenGL

$(READY): setup.py constraints.txt tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh $(VENV)
	@touch $@

drive: $(READY)  ## a trained policy drives a simulated car through real ROS 2 nodes
	@$(VENV)/bin/liquid-control drive $(ARGS)

quick: $(READY)  ## the quick tests: no ROS nodes, nothing over 3 s
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup \
		-m "not slow and not lengthy and not ros" $(ARGS)

# Tests that start ROS nodes share one worker (tests/conftest.py), so they never compete.
test: $(READY)  ## the tests: all but those of more than 20 s
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup -m "not slow" \
		--durations=40 --durations-min=3 $(ARGS)

test-all: $(READY)  ## every test
	$(VENV)/bin/python -m pytest -n $(TEST_WORKERS) --dist loadgroup $(ARGS)

docs: $(READY)  ## build the documentation site into build/site; a warning is an error
	$(VENV)/bin/python tools/site/build.py

lint: $(READY)  ## check style and formatting
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

doctor: $(READY)  ## say what works here and how to mend the rest
	@$(VENV)/bin/liquid-control doctor

clean:  ## remove .venv and what builds leave behind; runs/ and data/ stay
	rm -rf $(VENV) build install log dist *.egg-info .pytest_cache .ruff_cache .hypothesis
