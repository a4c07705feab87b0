"""Gets what the measurements need: the program, tools of Debian, and peers of crates.io."""

import os
import shutil
import subprocess
import sys

from . import report, strongswan

PACKAGES = {"iperf3": "iperf3", "ip": "iproute2", "ss": "iproute2", "ping": "iputils-ping"}
WIREGUARD = {"wg": "wireguard-tools"}
# Crate, version and the program in it; pinned, so that figures can be compared.
CRATES = {"gotatun": ("gotatun-cli", "0.10.2", "gotatun"), "boringtun": ("boringtun-cli", "0.7.1", "boringtun-cli")}
CACHE = os.environ.get("ISTHMUS_BENCH_CACHE", "/var/cache/isthmus-bench")


def everything(names, binary):
    """Installs what is missing and answers {program: path}."""
    packages = dict(PACKAGES)
    if any(name in names for name in ("gotatun", "boringtun", "wireguard-go")):
        packages |= WIREGUARD
    if "wireguard-go" in names:
        packages["wireguard-go"] = "wireguard-go"
    if any(name.startswith("strongswan") for name in names):
        packages |= strongswan.PACKAGES
    # A path may be that of a library, which is nothing to run.
    there = lambda program: os.path.exists(program) or shutil.which(program)
    missing = sorted({package for program, package in packages.items() if not there(program)})
    if missing:
        report.progress(f"installing {' '.join(missing)}")
        quiet([os.path.join(report.ROOT, "scripts", "packages.sh"), *missing])
    tools = {"isthmus": binary or build()} if {"cbc", "gcm"} & set(names) else {}
    for name in names:
        if name in CRATES:
            crate, version, program = CRATES[name]
            tools[program] = crate_program(crate, version, program)
    return tools


def build():
    report.progress("building the program (the first time takes some minutes)")
    quiet(["cargo", "build", "--release", "-q", "-p", "isthmus"], cwd=report.ROOT)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(report.ROOT, "target"))
    return os.path.join(target, "release", "isthmus")


def crate_program(crate, version, program):
    path = os.path.join(CACHE, "bin", program)
    if not os.path.exists(path):
        report.progress(f"building {crate} (once; some minutes)")
        quiet(["cargo", "install", "-q", "--locked", "--root", CACHE, crate, "--version", version])
    return path


def quiet(command, **options):
    done = subprocess.run(command, stdout=sys.stderr, stderr=sys.stderr, **options)
    if done.returncode != 0:
        sys.exit(f"throughput: {' '.join(command)} failed; see above")
