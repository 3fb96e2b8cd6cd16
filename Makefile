PYTHON := .venv/bin/python

.PHONY: figures test torture bench demo demo-test demo-tools

figures: .venv/installed
	$(PYTHON) drive_model_and_save_outputs.py --checkpoint shipped
	$(PYTHON) plot_fig1.py --checkpoint shipped
	$(PYTHON) plot_fig3.py
	$(PYTHON) plot_fig5.py --checkpoint shipped
	$(PYTHON) plot_cue_range.py --checkpoint shipped
	$(PYTHON) plot_bifurcation.py --checkpoint shipped
	$(PYTHON) plot_groups.py --checkpoint shipped
	$(PYTHON) plot_synchronization.py --checkpoint shipped

test: .venv/installed
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m pytest -q tests

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
	$(PYTHON) benchmarks/run.py
	$(PYTHON) benchmarks/cost.py

.venv/installed: requirements.txt requirements-dev.txt
	python3 -m venv .venv
	.venv/bin/pip install -q -r requirements-dev.txt -r requirements.txt
	touch $@
