PYTHON := .venv/bin/python

.PHONY: figures fig1 fig3 fig5 cue_range bifurcation groups synchronization
.PHONY: test torture bench demo demo-test demo-tools

# two at a time, one thread each; the longest begins first
figures: .venv/installed
	OMP_NUM_THREADS=1 $(MAKE) -j 2 seconds=50 fig5 synchronization fig1 bifurcation groups cue_range fig3

# alone, a shorter run without clicks than config.yaml's 50 s, for a first picture within half a minute
fig1: seconds := 15
fig1: .venv/installed
	$(PYTHON) drive_model_and_save_outputs.py --checkpoint shipped --drive.keep_seconds $(seconds)
	$(PYTHON) plot_fig1.py --checkpoint shipped

fig5 bifurcation groups cue_range synchronization fig3: .venv/installed
	$(PYTHON) plot_$@.py $(if $(filter fig3,$@),,--checkpoint shipped)

test: .venv/installed
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n 2 tests
	$(PYTHON) -m pytest -q tests/test_cuda.py -k on_the_gpu

torture: .venv/installed
	EXAMPLES=1000 $(PYTHON) -m pytest -q -s tests/torture.py tests/test_any_input.py

demo: .venv/installed
	$(PYTHON) make_demo.py --checkpoint shipped

demo-test: .venv/installed
	$(PYTHON) -m pytest -q -s -rs tests/browser_demo.py

demo-tools:
	apt-get update
	apt-get install -y chromium chromium-driver

bench: .venv/installed
	$(PYTHON) -m benchmarks.run --threads 2

.venv/installed: requirements.txt requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/pip install -q -r requirements-dev.txt -r requirements.txt
	touch $@
