# Needs Python 3.11 or newer and make; everything else is set up on first use.
PYTHON ?= python3
VENV := .venv/bin
SOURCES := config controlplane monitoring audit workers inference tests bench manage.py

.PHONY: help up setup check test soak bench audit format lock messages

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: ## set up what is missing and run everything in the foreground (ENGINE=none: without an engine)
	@exec $(PYTHON) -m config.bootstrap up

setup: ## the virtual environment with the development tools
	@$(PYTHON) -m config.bootstrap dev

check: setup ## format, lint, types, import contracts, migrations, settings, templates
	$(VENV)/ruff format --check $(SOURCES)
	$(VENV)/ruff check $(SOURCES)
	$(VENV)/bandit -q -ll -r config controlplane monitoring audit workers inference manage.py 2>/dev/null
	$(VENV)/python -m config.dry -m mypy
	$(VENV)/lint-imports
	$(VENV)/python -m config.dry manage.py makemigrations --check --dry-run
	$(VENV)/python -m config.dry manage.py check --deploy --fail-level WARNING
	$(VENV)/djlint --check --lint templates

test: setup ## every test, the real engine and the real browser included
	$(VENV)/python -m pytest -n 2

soak: setup ## the promises at their full counts, one after the other, with a table at the end (ONLY=L1,F3: some of them)
	$(VENV)/python -m pytest tests/proofs --soak --only "$(ONLY)" -p no:randomly --tb=short

bench: setup ## the gateway against nginx, the price of the register, the limiter, 100,000 keys, long lists and ten million events, each in one run on this machine
	$(VENV)/python -m bench.race
	$(VENV)/python -m bench.recording
	$(VENV)/python -m bench.limiter
	$(VENV)/python -m bench.keys
	$(VENV)/python -m bench.lists
	$(VENV)/python -m bench.register
	$(VENV)/python -m bench.masking
	$(VENV)/python -m bench.register_finding

audit: setup ## known weaknesses of the pinned packages, where an advisory source can be reached
	@$(VENV)/python -m config.advisories

format: setup ## mend what tools can mend
	$(VENV)/ruff check --fix $(SOURCES)
	$(VENV)/ruff format $(SOURCES)
	$(VENV)/djlint --reformat --quiet templates

lock: setup ## pin every package by hash anew
	$(VENV)/python -m config.lock

messages: setup ## collect the texts to translate and compile the translations
	$(VENV)/python -m config.messages
