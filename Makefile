# GNU make. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: help setup build check test mdevctl-reference promtool bench demo picture msrv deny workflows \
	packages deb rpm package-test ansible-lint fleet-test vm-test install uninstall fuzz fuzz-short faults crash held hostile clean

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share/vgpuctl
# udev and systemd use their own directories, regardless of the prefix.
UDEVDIR ?= $(or $(shell pkg-config --variable=udevdir udev 2>/dev/null),/usr/lib/udev)
UNITDIR ?= $(or $(shell pkg-config --variable=systemdsystemunitdir systemd 2>/dev/null),/usr/lib/systemd/system)
# Completion directories. For zsh, distribution packages use a directory other than site-functions.
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
DESTDIR ?=

# Tests and the demo use --root, which must also work when sudo runs make.
unexport SUDO_UID

CARGO ?= cargo
CARGO_TARGET_DIR ?= target
BINARY := $(CARGO_TARGET_DIR)/release/vgpuctl
INSTALL ?= install

# The original mdevctl, for the comparison in tests/differential; outside the tree, so that `make clean` keeps it.
MDEVCTL_VERSION := 1.4.0
MDEVCTL_ROOT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vgpuctl-mdevctl/$(MDEVCTL_VERSION)
MDEVCTL_REFERENCE ?= $(MDEVCTL_ROOT)/bin/mdevctl

# Checks metrics and rules. Debian's package would start a server, so only the program is extracted from it.
PROMTOOL_ROOT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vgpuctl-promtool
PROMTOOL ?= $(or $(shell command -v promtool),$(PROMTOOL_ROOT)/promtool)

# Tools that Debian does not package, also outside the tree.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vgpuctl-tools
CARGO_DEB_VERSION := 3.8.0
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
CHECK_JSONSCHEMA_VERSION := 0.39.0
ANSIBLE_LINT_VERSION := 26.10.1
CARGO_DEB := $(TOOLS)/cargo-deb/$(CARGO_DEB_VERSION)/bin/cargo-deb

# Where packages are built; Cargo.toml contains the same path.
PACKAGED := target/package
DEB_VERSION = $(PACKAGE_VERSION)-0vgpuctl1
PACKAGE_VERSION ?= $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)

RULE := 60-vgpuctl.rules
UNITS := vgpuctl-restore.service vgpuctl-restore@.service vgpuctl-metrics.service vgpuctl-metrics.timer \
	vgpuctl-delegate.socket vgpuctl-delegate@.service
# `make install MDEVCTL=yes` also installs the binary under mdevctl's names.
MDEVCTL ?= no
NAMES := mdevctl lsmdev
# libvirt only watches this directory if it exists when libvirt starts.
DEFINITIONS := /etc/mdevctl.d
COMPLETIONS := $(BASHDIR)/vgpuctl $(ZSHDIR)/_vgpuctl $(FISHDIR)/vgpuctl.fish
SCHEMA := vgpuctl.schema.json
MAN_PAGES := $(filter-out $(NAMES:%=man/%.8),$(wildcard man/*.[58]))

# Debian packages for building, testing and the demo, besides Rust.
PACKAGES := gcc libc6-dev make pkg-config libudev-dev fuse3 strace man-db python3-docutils libvirt0 libxml2-utils \
	bash-completion zsh fish
BENCH_PACKAGES := binutils time valgrind

DEB_PACKAGES := dpkg-dev lintian
RPM_PACKAGES := rpm rpmlint cpio
FLEET_PACKAGES := ansible-core openssh-server openssh-client iproute2 python3-apt python3-yaml python3-venv curl jq
VM_PACKAGES = $(shell tests/vm/build --packages)

# $(call need,PACKAGE...): installs missing packages if run by root on Debian, otherwise lists them.
# Does not call apt if nothing is missing.
define need
@command -v dpkg-query >/dev/null || { echo "make: this is not Debian; make sure that these are installed: $(1)"; exit 0; }; \
missing=; \
for package in $(1); do \
	[[ $$(dpkg-query -W -f '$${db:Status-Status}' "$$package" 2>/dev/null || true) == installed ]] || missing+=" $$package"; \
done; \
[[ -n $$missing ]] || exit 0; \
if [[ $$(id -u) != 0 ]]; then \
	echo "make: these packages are missing:$$missing" >&2; \
	echo "      sudo apt-get install --no-install-recommends$$missing" >&2; \
	exit 1; \
fi; \
echo "make: installing$$missing"; \
export DEBIAN_FRONTEND=noninteractive; \
apt=(apt-get -qq -y --no-install-recommends install); \
apt-get -s --no-install-recommends install $$missing 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/make: apt removes \1, which conflicts with them/p'; \
"$${apt[@]}" $$missing </dev/null >/dev/null || { apt-get -qq update && "$${apt[@]}" $$missing </dev/null >/dev/null; }
endef

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 20
	@echo
	@echo 'Variables: PREFIX=$(PREFIX) BINDIR=$(BINDIR) MANDIR=$(MANDIR) DATADIR=$(DATADIR)'
	@echo '           UDEVDIR=$(UDEVDIR) UNITDIR=$(UNITDIR) DESTDIR=$(DESTDIR)'
	@echo '           BASHDIR=$(BASHDIR) ZSHDIR=$(ZSHDIR) FISHDIR=$(FISHDIR)'
	@echo '           MDEVCTL=$(MDEVCTL) (yes: also install the names mdevctl and lsmdev)'

setup: ## install the Debian packages that the targets below need (as root; otherwise list them)
	$(call need,$(PACKAGES))

build: ## build vgpuctl
	$(CARGO) build --release --locked

check: ## check formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

mdevctl-reference: setup ## install the original mdevctl in the user's cache, for comparison
	@[[ -x "$(MDEVCTL_REFERENCE)" ]] || { \
		echo 'make: installing mdevctl $(MDEVCTL_VERSION) in $(MDEVCTL_ROOT)'; \
		env -u CARGO_TARGET_DIR $(CARGO) install --quiet --locked --root "$(MDEVCTL_ROOT)" --version $(MDEVCTL_VERSION) mdevctl; \
	}

promtool: ## extract promtool from Debian's package prometheus into the user's cache
	@[[ -x "$(PROMTOOL)" ]] || { \
		command -v apt-get >/dev/null || { echo 'make: promtool is missing; install it in your PATH' >&2; exit 1; }; \
		echo 'make: extracting promtool from the package prometheus to $(PROMTOOL_ROOT)'; \
		folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; cd "$$folder"; \
		fetch=(apt-get -qq -o APT::Sandbox::User=root download prometheus); \
		"$${fetch[@]}" || { apt-get -qq update && "$${fetch[@]}"; }; \
		dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool; \
		$(INSTALL) -D usr/bin/promtool "$(PROMTOOL)"; \
	}

test: export MDEVCTL_REFERENCE := $(MDEVCTL_REFERENCE)
test: export PROMTOOL := $(PROMTOOL)
test: setup check mdevctl-reference promtool ## run all tests that need no virtual machine; the last line counts passed and failed tests
	$(CARGO) build --examples --locked
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	echo '$(CARGO) test --workspace --locked --no-fail-fast -- --show-output'; \
	$(CARGO) test --workspace --locked --no-fail-fast -- --show-output 2>&1 | tee "$$log" || status=$$?; \
	awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($$i ~ /^passed/) p += $$(i - 1); if ($$i ~ /^failed/) f += $$(i - 1) } } \
		END { printf "%d passed, %d failed\n", p, f }' "$$log"; \
	exit $$status

bench: setup mdevctl-reference ## measure system calls, instructions and times, compared with mdevctl and a minimal program (a few minutes)
	$(call need,$(BENCH_PACKAGES))
	$(CARGO) build --release --locked
	$(CARGO) build --profile fast --locked --example simhost
	rustc --edition 2024 -O -o $(CARGO_TARGET_DIR)/floor benches/floor.rs
	VGPUCTL=$(abspath $(BINARY)) FLOOR=$(abspath $(CARGO_TARGET_DIR))/floor MDEVCTL_REFERENCE=$(MDEVCTL_REFERENCE) \
		SIMHOST=$(abspath $(CARGO_TARGET_DIR))/fast/examples/simhost $(CARGO) bench --quiet --locked --profile dev --bench compare

demo: setup ## run vgpuctl on a simulated host
	$(CARGO) build --locked --bin vgpuctl --example simhost
	VGPUCTL=$(abspath $(CARGO_TARGET_DIR))/debug/vgpuctl SIMHOST=$(abspath $(CARGO_TARGET_DIR))/debug/examples/simhost examples/demo

# $(call tool,NAME,VERSION,OPTIONS): installs a tool from the registry, once, with fast compilation rather than optimization.
define tool
@[[ -x "$(TOOLS)/$(1)/$(2)/bin/$(1)" ]] || { \
	echo 'make: installing $(1) $(2) in $(TOOLS)/$(1)/$(2)'; \
	env -u CARGO_TARGET_DIR CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		$(CARGO) install --quiet --locked $(3) --root "$(TOOLS)/$(1)/$(2)" --version $(2) $(1); \
}
endef

# The minimum Rust version in Cargo.toml, and the highest that a package in Cargo.lock requires.
RUST_PROMISED := $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)
RUST_NEEDED = $(CARGO) metadata --locked --format-version 1 | grep -o '"rust_version":"[0-9.]*"' | grep -o '[0-9][0-9.]*' | sort -uV | tail -n 1

RICH_VERSION := 15.0.0
RICH := $(TOOLS)/rich/$(RICH_VERSION)
picture: setup ## regenerate docs/terminal.svg from a real terminal session
	$(call need,python3-venv tmux)
	@[[ -d "$(RICH)" ]] || { python3 -m venv "$(RICH)" && "$(RICH)/bin/pip" -q install rich==$(RICH_VERSION); }
	$(CARGO) build --locked --bin vgpuctl --example simhost
	VGPUCTL=$(abspath $(CARGO_TARGET_DIR))/debug/vgpuctl SIMHOST=$(abspath $(CARGO_TARGET_DIR))/debug/examples/simhost \
		PYTHON="$(RICH)/bin/python" docs/picture/make

msrv: setup ## check that the rust-version in Cargo.toml is sufficient
	@needed=$$($(RUST_NEEDED)); echo "make: rust-version is $(RUST_PROMISED); packages need $$needed"; \
	[[ $$(printf '%s\n' "$$needed" $(RUST_PROMISED) | sort -V | tail -n 1) == $(RUST_PROMISED) ]]
	@if rustup toolchain list 2>/dev/null | grep '^$(RUST_PROMISED)[.-]' >/dev/null; then \
		(set -x; rustup run $(RUST_PROMISED) cargo check --locked --all-targets --target-dir $(CARGO_TARGET_DIR)/msrv); \
	else \
		echo 'make: only checking the use of the standard library; to build with this version: rustup toolchain install --profile minimal $(RUST_PROMISED)'; \
		(set -x; $(CARGO) clippy --workspace --all-targets --locked -- -D clippy::incompatible_msrv); \
	fi

# Checking advisories requires a database from the network.
DENY ?= licenses bans sources
deny: setup ## check licences and sources of all dependencies (DENY=all: also advisories, from the network)
	$(call tool,cargo-deny,$(CARGO_DENY_VERSION),--no-default-features)
	"$(TOOLS)/cargo-deny/$(CARGO_DENY_VERSION)/bin/cargo-deny" --locked check $(DENY)

JSONSCHEMA := $(TOOLS)/check-jsonschema/$(CHECK_JSONSCHEMA_VERSION)
workflows: setup ## validate .github/workflows, and check that the targets it calls exist
	$(call need,python3-venv)
	@[[ -x "$(JSONSCHEMA)/bin/check-jsonschema" ]] || { \
		echo 'make: installing check-jsonschema $(CHECK_JSONSCHEMA_VERSION) in $(JSONSCHEMA)'; \
		python3 -m venv "$(JSONSCHEMA)" && "$(JSONSCHEMA)/bin/pip" -q install check-jsonschema==$(CHECK_JSONSCHEMA_VERSION); \
	}
	"$(JSONSCHEMA)/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@for target in $$(sed -n 's/.*run: make \([a-z-]*\).*/\1/p' .github/workflows/*.yml); do \
		grep -q "^$$target:" Makefile || { echo "make: a workflow calls 'make $$target', which does not exist" >&2; exit 1; }; \
	done

packages: deb rpm

deb: setup build ## build the Debian packages vgpuctl and vgpuctl-mdevctl in target/package (PACKAGE_VERSION= overrides the version in Cargo.toml)
	$(call need,$(DEB_PACKAGES))
	$(call tool,cargo-deb,$(CARGO_DEB_VERSION))
	packaging/stage $(PACKAGED)/deb $(DEB_VERSION) ZSHDIR=/usr/share/zsh/vendor-completions
	$(CARGO_DEB) --quiet --no-build --no-strip --deb-version $(DEB_VERSION) --output $(PACKAGED)/
	$(CARGO_DEB) --quiet --no-build --no-strip --deb-version $(DEB_VERSION) --output $(PACKAGED)/ --variant mdevctl

rpm: setup build ## build the same as RPM packages
	$(call need,$(RPM_PACKAGES))
	packaging/stage $(PACKAGED)/rpm $(PACKAGE_VERSION)
	rpmbuild --quiet -bb --define '_topdir $(abspath $(PACKAGED))/rpm' --define '_rpmdir $(abspath $(PACKAGED))' \
		--define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' --define '_dbpath $(abspath $(PACKAGED))/rpm/db' \
		--define 'stage $(abspath $(PACKAGED))/rpm' --define 'package_version $(PACKAGE_VERSION)' packaging/vgpuctl.spec

# A version that is newer than the current one, to test upgrades.
NEXT := 9999~test
package-test: packages ## check the contents and scripts of the packages, and run linters on them
	$(MAKE) --no-print-directory packages PACKAGE_VERSION=$(NEXT)
	tests/packages/run $(PACKAGED) $(PACKAGE_VERSION) $(NEXT)

# This program includes the Kubernetes schemas; outside the tree, so that `make clean` keeps it.
VALIDATE_VERSION := 1.37.0
VALIDATE_ROOT := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vgpuctl-kubernetes-validate/$(VALIDATE_VERSION)
# Evaluates the expressions of the admission policy.
CEL_VERSION := 0.5.0
CEL := $(TOOLS)/cel-python/$(CEL_VERSION)

# Includes its own ansible-core; the host tests use Debian's. Runs without network access.
ANSIBLE_LINT := $(TOOLS)/ansible-lint/$(ANSIBLE_LINT_VERSION)
ansible-lint: ## run ansible-lint on examples/ansible, with its strictest profile
	$(call need,python3-venv)
	@[[ -x "$(ANSIBLE_LINT)/bin/ansible-lint" ]] || { \
		echo 'make: installing ansible-lint $(ANSIBLE_LINT_VERSION) in $(ANSIBLE_LINT)'; \
		rm -rf "$(ANSIBLE_LINT)"; \
		/usr/bin/python3 -m venv "$(ANSIBLE_LINT)"; \
		"$(ANSIBLE_LINT)/bin/pip" --quiet --disable-pip-version-check install ansible-lint==$(ANSIBLE_LINT_VERSION); \
	}
	@if (cd examples/ansible && PATH="$(ANSIBLE_LINT)/bin:$$PATH" ansible-lint --offline --nocolor --strict --profile production); \
	then echo '1 passed, 0 failed'; else echo '0 passed, 1 failed'; exit 1; fi

fleet-test: deb ## test examples/ansible and examples/kubernetes on hosts in network namespaces (as root)
	$(call need,$(FLEET_PACKAGES))
	@[[ -x "$(VALIDATE_ROOT)/bin/kubernetes-validate" ]] || { \
		echo 'make: installing kubernetes-validate $(VALIDATE_VERSION) in $(VALIDATE_ROOT)'; \
		rm -rf "$(VALIDATE_ROOT)"; \
		/usr/bin/python3 -m venv "$(VALIDATE_ROOT)"; \
		"$(VALIDATE_ROOT)/bin/pip" --quiet --disable-pip-version-check install kubernetes-validate==$(VALIDATE_VERSION); \
	}
	@[[ -x "$(CEL)/bin/cel-python" ]] || { \
		echo 'make: installing cel-python $(CEL_VERSION) in $(CEL)'; \
		rm -rf "$(CEL)"; \
		/usr/bin/python3 -m venv "$(CEL)"; \
		"$(CEL)/bin/pip" --quiet --disable-pip-version-check install cel-python==$(CEL_VERSION); \
	}
	$(CARGO) build --locked --bin vgpuctl --example simhost
	@status=0; total=$$(mktemp); trap 'rm -f "$$total"' EXIT; \
	export VALIDATE="$(VALIDATE_ROOT)/bin/kubernetes-validate" CEL="$(CEL)/bin/python" VGPUCTL="$(abspath $(CARGO_TARGET_DIR))/debug/vgpuctl" SIMHOST="$(abspath $(CARGO_TARGET_DIR))/debug/examples/simhost" \
		DEB="$(PACKAGED)/vgpuctl_$(DEB_VERSION)_$$(dpkg --print-architecture).deb"; \
	for test in kubernetes ansible; do tests/$$test/run 2>&1 | tee -a "$$total" | sed '/^[0-9]* passed, [0-9]* failed$$/d' || status=$$?; done; \
	awk '/^[0-9]+ passed, [0-9]+ failed$$/ { p += $$1; f += $$3 } END { printf "%d passed, %d failed\n", p, f }' "$$total"; \
	exit $$status

vm-test: deb mdevctl-reference ## test boots, reboots and removals on a real kernel in virtual machines (about 10 minutes; no KVM needed)
	$(call need,$(VM_PACKAGES))
	$(MAKE) --no-print-directory deb PACKAGE_VERSION=$(NEXT)
	VGPUCTL=$(abspath $(BINARY)) MDEVCTL_REFERENCE=$(MDEVCTL_REFERENCE) tests/vm/run

# Stable Rust is sufficient: without unsafe code, no sanitizer is needed. All targets, and both kinds of run, share one build.
FUZZ_TARGETS := definitions types functions answers overrides logs plans imports
FUZZ_SECONDS ?= 600
CARGO_FUZZ := $(TOOLS)/cargo-fuzz/$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz
FUZZ_BUILD := --sanitizer none --codegen-units 2 --target-dir fuzz/target
# An input that takes longer than -timeout, in seconds, is reported like a crash.
FUZZ_OPTIONS := -timeout=5 -print_final_stats=1

define fuzz_tools
$(call need,g++)
$(call tool,cargo-fuzz,$(CARGO_FUZZ_VERSION))
@$(CARGO) metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
@"$(CARGO_FUZZ)" build $(FUZZ_BUILD)
endef

fuzz: setup ## fuzz every parser for FUZZ_SECONDS (600); new inputs are kept in fuzz/corpus
	$(fuzz_tools)
	for target in $(FUZZ_TARGETS); do \
		"$(CARGO_FUZZ)" run $(FUZZ_BUILD) "$$target" -- $(FUZZ_OPTIONS) -max_total_time=$(FUZZ_SECONDS); \
		"$(CARGO_FUZZ)" cmin $(FUZZ_BUILD) "$$target"; \
	done

fuzz-short: setup ## the same for 10 seconds each, keeping only crashing inputs, in fuzz/artifacts
	$(fuzz_tools)
	@new=$$(mktemp -d); trap 'rm -rf -- "$$new"' EXIT; passed=0; failed=0; \
	for target in $(FUZZ_TARGETS); do \
		mkdir "$$new/$$target"; \
		if "$(CARGO_FUZZ)" run $(FUZZ_BUILD) "$$target" "$$new/$$target" "fuzz/corpus/$$target" -- \
			$(FUZZ_OPTIONS) -verbosity=0 -max_total_time=10 2>&1 | tee "$$new/log"; \
		then passed=$$((passed + 1)); else failed=$$((failed + 1)); fi; \
		sed -n "s/^stat::number_of_executed_units: *\([0-9]*\)$$/make: $$target: \1 inputs/p" "$$new/log"; \
	done; \
	printf '%d passed, %d failed\n' "$$passed" "$$failed"; \
	((failed == 0))

faults: setup ## fail every system call of every command once, with each of six errors; `make test` runs one in 23 of these
	$(CARGO) build --examples --locked
	VGPUCTL_FAULTS=all $(CARGO) test --locked --test cli -- --show-output faults::

crash: setup ## kill commands before each of their system calls; `make test` covers those that modify something, and a sample of the rest
	$(CARGO) build --examples --locked
	VGPUCTL_CRASH=all $(CARGO) test --locked --test cli -- --show-output killed

held: setup ## remove 64 vGPUs from 16 GPUs 100 times, with and without close_range(2); `make test` does this 3 times
	$(CARGO) build --examples --locked
	VGPUCTL_STRESS=all $(CARGO) test --locked --test cli -- --show-output claims::

# Fails with fewer checks than this, since some must have been lost.
HOSTILE_LEAST := 600
hostile: export PROMTOOL := $(PROMTOOL)
hostile: setup promtool ## run attacks with harmless payloads, and count passed checks by group
	$(CARGO) build --examples --locked
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; status=0; \
	$(CARGO) test --locked --test cli -- hostile:: --nocapture 2>&1 | tee "$$log" || status=$$?; \
	awk -v least=$(HOSTILE_LEAST) 'match($$0, /hostile: .* checks, /) { sub(/.*hostile: .*: /, ""); c += $$1; h += $$3; n += $$5 } \
		END { printf "hostile: %d checks, %d held, %d of them new\n", c, h, n; exit !(c == h && c >= least) }' "$$log" || status=1; \
	exit $$status

# systemd looks up bare names in these directories; otherwise the units need the full path.
BARE_NAME_WORKS := $(filter $(BINDIR),/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin)
EXEC_START := $(if $(BARE_NAME_WORKS),vgpuctl,$(BINDIR)/vgpuctl)
# Daemons are only reloaded for an installation on the running system.
SYSTEMD_RUNS = [[ -z "$(DESTDIR)" && -d /run/systemd/system ]]
RELOAD = if $(SYSTEMD_RUNS); then systemctl daemon-reload; fi; \
	if [[ -z "$(DESTDIR)" && -S /run/udev/control ]]; then udevadm control --reload; fi

# Bash: whether the name $$1 in BINDIR is a link created by this Makefile.
define ours
ours() { [[ -L "$(DESTDIR)$(BINDIR)/$$1" && $$(readlink "$(DESTDIR)$(BINDIR)/$$1") == vgpuctl ]]; }
endef
# Files from elsewhere, such as a distribution package, are not overwritten.
define refuse_foreign_names
@$(ours); \
for name in $(NAMES); do \
	for file in "$(DESTDIR)$(BINDIR)/$$name" "$(DESTDIR)$(MANDIR)/man8/$$name.8"; do \
		if ! ours "$$name" && [[ -e $$file || -L $$file ]]; then \
			echo "make: $$file already exists and was not installed by this Makefile; nothing was installed" >&2; \
			echo "      remove the package that it belongs to, or choose another PREFIX or BINDIR" >&2; \
			exit 1; \
		fi; \
	done; \
done
endef
# Shows which program a name resolves to, in this shell's PATH and in that of systemd services such as libvirtd.
SERVICE_PATH := /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
define say_who_answers
@if [[ -n "$(DESTDIR)" ]]; then exit 0; fi; \
hash -r; \
for name in $(NAMES); do \
	for where in "your PATH|$$PATH" "services|$(SERVICE_PATH)"; do \
		first=$$(PATH=$${where#*|}; type -P "$$name" || true); \
		if [[ -z $$first ]]; then \
			echo "make: $$name for $${where%%|*}: not found, because $(BINDIR) is not in the PATH"; \
		elif [[ $$first -ef "$(BINDIR)/vgpuctl" ]]; then \
			echo "make: $$name for $${where%%|*}: $$first, which is vgpuctl"; \
		else \
			echo "make: $$name for $${where%%|*}: $$first, which is NOT vgpuctl; $(BINDIR)/$$name comes later in the PATH or not at all"; \
		fi; \
	done; \
done; \
for name in $(NAMES); do \
	for other in /usr/sbin/$$name /usr/bin/$$name; do \
		[[ ! -e $$other || $$other -ef "$(BINDIR)/vgpuctl" ]] || echo "make: $$other belongs to another program and is not changed"; \
	done; \
done; \
for rule in {/etc,/usr/lib,/lib}/udev/rules.d/60-mdevctl.rules; do \
	if [[ -f $$rule ]]; then \
		echo "make: $$rule belongs to another program and is not changed; a device requested by both rules is started once"; \
		break; \
	fi; \
done; \
for daemon in libvirtd virtnodedevd; do \
	if [[ -d /run/systemd/system ]] && systemctl --quiet is-active "$$daemon.service"; then \
		echo "make: $$daemon is running; restart it so that it watches $(DEFINITIONS): systemctl restart $$daemon"; \
	fi; \
done
endef

install: ## install the result of `make build`; devices are restored from the next boot on
	@[[ -x $(BINARY) ]] || { echo 'make: $(BINARY) is missing; run: make build' >&2; exit 1; }
	$(if $(filter yes,$(MDEVCTL)),$(refuse_foreign_names))
	$(INSTALL) -Dm755 $(BINARY) $(DESTDIR)$(BINDIR)/vgpuctl
	$(INSTALL) -Dm644 udev-rules/$(RULE) $(DESTDIR)$(UDEVDIR)/rules.d/$(RULE)
	ln -sfn $(BINDIR)/vgpuctl $(DESTDIR)$(UDEVDIR)/vgpuctl
	$(INSTALL) -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
		sed 's|^ExecStart=vgpuctl |ExecStart=$(EXEC_START) |' "systemd/$$unit" >"$(DESTDIR)$(UNITDIR)/$$unit"; \
		chmod 644 "$(DESTDIR)$(UNITDIR)/$$unit"; \
	done
	for page in $(MAN_PAGES); do $(INSTALL) -Dm644 "$$page" "$(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}"; done
	$(INSTALL) -Dm644 docs/$(SCHEMA) $(DESTDIR)$(DATADIR)/$(SCHEMA)
	$(INSTALL) -Dm644 completions/vgpuctl.bash $(DESTDIR)$(BASHDIR)/vgpuctl
	$(INSTALL) -Dm644 completions/_vgpuctl $(DESTDIR)$(ZSHDIR)/_vgpuctl
	$(INSTALL) -Dm644 completions/vgpuctl.fish $(DESTDIR)$(FISHDIR)/vgpuctl.fish
ifeq ($(MDEVCTL),yes)
	for name in $(NAMES); do \
		ln -sfn vgpuctl "$(DESTDIR)$(BINDIR)/$$name"; \
		if [[ -e man/$$name.8 ]]; then $(INSTALL) -Dm644 "man/$$name.8" "$(DESTDIR)$(MANDIR)/man8/$$name.8"; fi; \
	done
	$(INSTALL) -d $(DESTDIR)$(DEFINITIONS)
endif
	$(RELOAD)
	if $(SYSTEMD_RUNS); then systemctl enable vgpuctl-restore.service; fi
	$(if $(filter yes,$(MDEVCTL)),$(say_who_answers))

uninstall: ## remove installed files, but keep definitions in /etc/mdevctl.d, settings in /etc/vgpuctl.d and the policy in /etc/vgpuctl
	if $(SYSTEMD_RUNS) && [[ -e $(UNITDIR)/vgpuctl-restore.service ]]; then systemctl disable --now vgpuctl-restore.service; fi
	if $(SYSTEMD_RUNS) && [[ -e $(UNITDIR)/vgpuctl-metrics.timer ]]; then systemctl disable --now vgpuctl-metrics.timer; fi
	if $(SYSTEMD_RUNS) && [[ -e $(UNITDIR)/vgpuctl-delegate.socket ]]; then systemctl disable --now vgpuctl-delegate.socket; fi
	@$(ours); \
	for name in $(NAMES); do \
		if ours "$$name"; then (set -x; rm -f "$(DESTDIR)$(BINDIR)/$$name" "$(DESTDIR)$(MANDIR)/man8/$$name.8"); fi; \
	done
	if [[ -d $(DESTDIR)$(DEFINITIONS) ]]; then rmdir --ignore-fail-on-non-empty $(DESTDIR)$(DEFINITIONS); fi
	rm -f $(DESTDIR)$(BINDIR)/vgpuctl $(DESTDIR)$(UDEVDIR)/rules.d/$(RULE) $(DESTDIR)$(UDEVDIR)/vgpuctl
	rm -f $(foreach unit,$(UNITS),'$(DESTDIR)$(UNITDIR)/$(unit)')
	rm -f $(foreach page,$(notdir $(MAN_PAGES)),'$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(page)')
	rm -f $(COMPLETIONS:%='$(DESTDIR)%') $(DESTDIR)$(DATADIR)/$(SCHEMA)
	if [[ -d $(DESTDIR)$(DATADIR) ]]; then rmdir --ignore-fail-on-non-empty $(DESTDIR)$(DATADIR); fi
	for dir in $(BASHDIR) $(ZSHDIR) $(FISHDIR); do \
		for dir in "$(DESTDIR)$$dir" "$(DESTDIR)$${dir%/*}"; do \
			if [[ -d $$dir ]]; then rmdir --ignore-fail-on-non-empty "$$dir"; fi; \
		done; \
	done
	for section in 5 8; do \
		if [[ -d $(DESTDIR)$(MANDIR)/man$$section ]]; then rmdir --ignore-fail-on-non-empty $(DESTDIR)$(MANDIR)/man$$section; fi; \
	done
	$(RELOAD)

clean: ## remove build results
	$(CARGO) clean
