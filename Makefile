# This file is part of pacte_grants.  The LICENSE file at the top level of
# this repository contains the full copyright notices and license terms.

PYTHON ?= python3
PORT ?= 8000
BROWSER ?= yes
JOBS ?= 1
ARGS ?=
TRYTOND_DATABASE_URI ?= postgresql://

BIN := .venv/bin
PYTEST := BROWSER=$(BROWSER) $(BIN)/pytest \
	$(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist loadscope \
	--no-loadscope-reorder)

.DEFAULT_GOAL := help
.PHONY: help run reset install web test test-postgresql bench doc check

help:  ## cette liste
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) \
	| sed -E 's/^([a-z-]+):.*## */\1|/' \
	| awk -F'|' '{ printf "make %-16s %s\n", $$1, $$2 }'

run:  ## installe, crée la base de démonstration et sert (PORT=8000)
	@$(PYTHON) tools/bootstrap.py run --port $(PORT)

reset:  ## efface la base de démonstration
	@$(PYTHON) tools/bootstrap.py reset

install:  ## l'environnement des tests et des contrôles
	@$(PYTHON) tools/bootstrap.py install demo test check

web:
	@$(PYTHON) tools/bootstrap.py web

test: install web  ## les tests sur SQLite (BROWSER=no : sans Chromium)
	TRYTOND_DATABASE_URI=sqlite:// $(PYTEST) $(ARGS)

test-postgresql: install web  ## les mêmes sur PostgreSQL (TRYTOND_DATABASE_URI)
	TRYTOND_DATABASE_URI=$(TRYTOND_DATABASE_URI) $(PYTEST) $(ARGS)

bench: install  ## le temps de 500 puis 5 000 versements (ARGS="50 500")
	$(BIN)/python benchmarks/payments.py $(ARGS)

doc: install  ## les schémas des états, tirés du code
	$(BIN)/python tools/workflows.py

check: install  ## ruff, traductions françaises, XML, YAML
	$(BIN)/ruff check .
	$(BIN)/yamllint --strict docker
	$(BIN)/python tools/check_xml.py
	$(BIN)/python tools/check_translations.py
	$(BIN)/python tools/workflows.py --check
