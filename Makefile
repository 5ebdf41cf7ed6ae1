# One target for each thing a person does. Each sets up what it needs first.
PYTHON ?= python3
BASE ?= HEAD
BAR ?= 5
export PYTHON

setup := @tools/setup
pytest := pytest -n 4 --dist worksteal

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' Makefile

demo: ## run the member service, let parts of it fail, and watch two mails travel
	$(setup) demo env -C services/member python -m member.demo $(ARGS)

dashboard-demo: ## show the dashboard on a busy system of its own (ARGS="--port 8080")
	$(setup) demo python tools/dashboard_demo $(ARGS)

screenshots: ## make the screenshots of the dashboard for the guide, from the demo
	$(setup) test python tools/dashboard_demo/screenshots.py $(ARGS)

test: ## run the tests that do not last (another Python: PYTHON=python3.13; some tests: ARGS="tests/support/test_servers.py -k kill")
	$(setup) test $(pytest) $(or $(ARGS),-m "not lasting")

test-all: ## run all tests, also those that last: kills, images, demos, comparison with Go, earlier versions
	$(setup) test $(pytest) $(ARGS)

test-oldest: ## run the library's tests with the oldest packages that pyproject.toml allows
	$(setup) oldest $(pytest) $(or $(ARGS),tests)

test-newest-sqlite: ## run the tests of the SQLite broker with the newest SQLite that there is in a wheel
	$(setup) newest-sqlite env PYTHONPATH=$(CURDIR)/tools/newest_sqlite $(pytest) $(or $(ARGS),tests/broker tests/e2e/sqlite)

matrix: ## run the tests on all Pythons and servers there are, with the oldest packages, and with the newest SQLite (ARGS="oldest redis-6.2" TESTS=tests/core)
	@$(PYTHON) tools/matrix.py $(ARGS)

differential: ## run 500 random sequences of operations in Go and in Python, and compare (PYASYNQ_SEQUENCES=2000)
	$(setup) test env PYASYNQ_SEQUENCES=$${PYASYNQ_SEQUENCES:-500} pytest tests/differential --log-cli-level=INFO $(ARGS)

campaign: ## kill the member service at every step, workers whose tasks others follow, are steps of flows or members of batches, and processes while they run a million tasks on SQLite; the tests do part of this
	$(setup) test env PYASYNQ_CAMPAIGN=1 pytest services/member/tests/faults tests/e2e/test_followers_of_killed_workers.py tests/e2e/test_flows_of_killed_workers.py tests/e2e/test_maps_of_killed_workers.py tests/e2e/test_subflows_of_killed_workers.py tests/e2e/test_batches_of_killed_workers.py tests/e2e/sqlite/test_kills.py tests/e2e/sqlite/test_soak.py --log-cli-level=INFO $(ARGS)

lint: ## check the code with every tool: format, style, types, layers, dependencies
	$(setup) check ruff format --check --quiet
	$(setup) check ruff check --quiet
	$(setup) check mypy
	$(setup) check pyright
	$(setup) check pyright --project services/member
	$(setup) check python tools/wheel_types.py
	$(setup) check lint-imports
	$(setup) check python tools/lua.py
	$(setup) check python tools/words.py
	$(setup) check deptry src
	$(setup) check env -C services/member deptry src
	$(setup) check hadolint deploy/Dockerfile services/member/deploy/Dockerfile
	$(setup) check kubernetes-validate --strict --quiet \
	  deploy/kubernetes/metrics.yaml deploy/kubernetes/scheduler.yaml deploy/kubernetes/worker.yaml
	$(setup) check check-jsonschema --builtin-schema vendor.compose-spec --quiet services/member/deploy/compose.yaml
	$(setup) check check-jsonschema --builtin-schema vendor.github-issue-forms --quiet .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(setup) check check-jsonschema --builtin-schema vendor.github-issue-config --quiet .github/ISSUE_TEMPLATE/config.yml
	$(setup) check shellcheck tools/setup tools/pin .ci/run

check: lint test-all ## all that CI does: lint and test-all

cover: ## run the tests, show which lines they miss, and fail if these are too many
	$(setup) test coverage erase
	$(setup) test coverage run -m $(pytest) $(ARGS)
	$(setup) test coverage combine --quiet
	$(setup) test coverage report

fmt: ## format the code, and fix what the linter can fix
	$(setup) check ruff check --fix --quiet
	$(setup) check ruff format --quiet

bench: ## measure pyasynq and its peers
	$(setup) bench python -m benchmarks $(ARGS)

bench-compare: ## compare the speed with an earlier commit (BASE=df3da0a; BAR=3 for 3 %; ARGS="--quick" for a minute)
	$(setup) bench-compare python -m benchmarks.compare --base $(BASE) --bar $(BAR) $(ARGS)

bench-inspector: ## measure how long an inspector holds Redis, with a million tasks in a queue
	$(setup) bench-compare python -m benchmarks.inspector

bench-dashboard: ## measure the dashboard with a million failed tasks in a queue (ARGS="--tasks 100000")
	$(setup) test python -m benchmarks.dashboard $(ARGS)

bench-dashboard-streams: ## measure what ten readers of the dashboard's stream cost workers and Redis
	$(setup) test python -m benchmarks.dashboard_streams $(ARGS)

bench-member: ## measure the member service (ARGS="--quick" for a minute)
	$(setup) bench-member python -m benchmarks.member $(ARGS)

proto: ## generate the protobuf code
	$(setup) proto python -m grpc_tools.protoc -I src --python_out src --pyi_out src pyasynq/proto/asynq.proto
	@# It does not say what is in a mapping that stands for a message.
	sed -i 's/_Mapping\]/_Mapping[str, object]]/g' src/pyasynq/proto/asynq_pb2.pyi
	$(setup) proto env -C services/member python -m grpc_tools.protoc -I proto --python_out src --pyi_out src \
	  --grpc_python_out src --mypy_grpc_out only_async:src member/v1/member.proto

catalogue: ## write the lists in docs/internals that come from the code
	$(setup) check python tools/catalogue.py

pins: ## pin what the requirements require, in requirements/constraints.txt
	$(setup) pins tools/pin

clean: ## remove everything that these commands have made
	rm -rf .venv .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help catalogue demo dashboard-demo screenshots test test-all test-oldest test-newest-sqlite matrix differential campaign lint check cover fmt bench bench-compare bench-inspector bench-dashboard bench-dashboard-streams bench-member proto pins clean
