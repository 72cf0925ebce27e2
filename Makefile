# A single entry to the scripts. `make` lists the targets; each runs one command that can also be run directly.

.DEFAULT_GOAL := help
.PHONY: help demo test test-contracts test-rust ci lint bindings gas simulate kill-test fuzz mutants proofs bench interop browser release-check

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Show a session key's whole life on an in-process chain
	cargo run --locked -- demo

test: ## Run every test, Solidity and Rust
	./script/test.sh

test-contracts: ## Run the tests of the contracts
	bash -c 'source script/toolchain.sh && forge test'

test-rust: ## Run the tests of the crates; needs neither Node nor forge
	cargo test --workspace --locked

ci: ## Run everything that a commit must pass (.ci/run --list names its jobs)
	.ci/run

lint: ## Check formatting and lints
	.ci/run lint

bindings: ## Regenerate the bytecode and addresses that the crates carry
	./script/bindings.sh

gas: ## Measure gas, and write its tables and charts
	bash -c 'source script/toolchain.sh && forge test --mc SessionKeyGasTest'
	./script/gas-report.py

simulate: ## Send in a simulated world that misbehaves: 2,000 histories
	./script/simulate.sh --seeds 2000

kill-test: ## Kill 200 processes while they send
	./script/kill-test.sh 200

fuzz: ## Compare the client with the bytecode on random input
	cargo run --release --locked -p session-key-fuzz

mutants: ## Break the contracts on purpose, and name what no test notices (an hour of CPU time)
	./script/deliberate-bugs.py contracts

proofs: ## Prove properties of the contracts symbolically
	./script/prove.sh

bench: ## Measure the client beside the TypeScript client
	./script/bench-clients.sh

interop: ## Drive the contracts by both clients through a real bundler
	./script/interop.sh
	./script/interop-devnet.sh
	./script/interop-erc7562.sh

browser: ## Test the review page in a real browser, and take its pictures
	./script/browser-test.sh

release-check: ## Check what a release must pass beyond CI
	./script/release-check.sh
