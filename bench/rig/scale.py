"""One gateway with more and more sessions: what each size costs."""

import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import time

from . import gateway
from .namespaces import Pair, run, wait_for
from .report import ROOT, progress

# Sessions are played by as many processes as descriptors and ports make necessary.
PER_PROCESS_MAX = 17_000
SPARE_DESCRIPTORS = 200
REFLECTOR = "10.64.0.1:7007"
# As many peers as IKE keeps, less the one that is busy.
SESSIONS_MAX = 65_535
# Packets of the busy session on their way.
WINDOW = 128
TICKS = os.sysconf("SC_CLK_TCK")


class Rig:
    """A gateway and where its clients are; a context. Every size has a gateway of its own."""

    def __init__(self, binary, name):
        self.binary, self.pair = binary, Pair(name)

    def __enter__(self):
        try:
            self.open()
        except BaseException:
            self.pair.close()
            raise
        return self

    def open(self):
        pair = self.pair
        pair.open()
        self.gateway = gateway.start(pair, self.binary, "scale", "10.64.0.0/15")
        self.psk = pair.path("psk")
        self.password = pair.put("password", f"{gateway.PASSWORD}\n")
        pair.spawn(pair.server, self.binary, "bench", "reflect", "--listen", REFLECTOR)

    def __exit__(self, *_error):
        self.pair.close()

    def status(self):
        output = gateway.status(self.pair, self.binary)
        return json.loads(output) if output else None

    def bench(self, scenario, clients, *options, first=0, rate=None):
        """Starts `isthmus bench`, in as many processes as it takes."""
        most = min(PER_PROCESS_MAX, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS)
        count = -(-clients // most)
        if rate:
            options = (*options, "--rate", str(rate / count))
        jobs = []
        for number in range(count):
            own = clients // count + (number < clients % count)
            # Each has an address of its own, and with it 28,000 ports.
            source = f"192.0.2.{8 + len(self.pair.processes)}"
            run("ip", "-n", self.pair.client, "address", "add", f"{source}/24", "dev", "cable")
            out = open(self.pair.path(f"{scenario}-{first}.json"), "w+")
            command = [
                "ip", "netns", "exec", self.pair.client, self.binary, "bench", scenario, "--server", Pair.SERVER,
                "--public-target", "--psk-file", self.psk, "--user", "bench", "--password-file", self.password,
                "--esp", "aes256gcm16", "--source", source, "--clients", str(own), "--first", str(first),
                "--vanish", "--quiet", "--json", *options,
            ]
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, process_group=0)
            self.pair.processes.append(process)
            jobs.append((process, out))
            first += own
        return jobs

    def finish(self, jobs, seconds):
        """Waits for loads to end; their reports."""
        reports = []
        for process, out in jobs:
            _, complaint = process.communicate(timeout=seconds)
            out.seek(0)
            text = out.read()
            out.close()
            if process.returncode not in (0, 1) or not text:
                raise RuntimeError(f"isthmus bench: {complaint.strip() or process.returncode}")
            reports.append(json.loads(text))
        return reports

    def interrupt(self, jobs):
        """Ends loads early, as Ctrl-C does; their reports."""
        for process, _ in jobs:
            process.send_signal(signal.SIGINT)
        return self.finish(jobs, 120)

    @contextlib.contextmanager
    def held(self, clients, rate):
        """So many sessions, for as long as the context lasts; gives a place for what was measured."""
        found = {"sessions": clients, "memory_before_bytes": resident(self.gateway.pid)}
        jobs = self.bench("hold", clients, "--duration", "1h", rate=rate)
        try:
            wait_for(f"{clients} sessions", 60 + clients / 50, lambda: self.settled(jobs, clients))
            yield found
        finally:
            reports = self.interrupt(jobs)
        found["lost"] = sum(cause["count"] for report in reports for cause in report["lost"])
        found["failed"] = sum(report["logins"]["failed"] for report in reports)
        found["logins_per_second"] = sum(report["logins"]["per_second"] for report in reports)
        # Processes have equal shares; the median of their percentiles is what a client sees.
        for name in ("p50", "p99"):
            found[f"login_{name}_ms"] = statistics.median(report["logins"]["latency_ms"][name] for report in reports)
        found["generator_bytes_per_session"] = max(report["generator"]["bytes_per_session"] for report in reports)

    def settled(self, jobs, clients):
        if any(process.poll() is not None for process, _ in jobs):
            raise RuntimeError(f"isthmus bench hold ended: {jobs[0][0].stderr.read().strip()}")
        status = self.status()
        up = status["sessions"] if status else 0
        # A look at a busy gateway costs it something.
        time.sleep(0 if up == clients else min(2.0, clients / 1000))
        return up == clients

    def idle(self, found, seconds, settle):
        """Memory, and processor time when nothing happens but keepalives."""
        time.sleep(settle)
        pids = {"gateway": [self.gateway.pid], "generator": self.generators()}
        before = {name: sum(map(cpu_seconds, of)) for name, of in pids.items()}
        began = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        for name, of in pids.items():
            found[f"{name}_cpu_percent"] = 100 * (sum(map(cpu_seconds, of)) - before[name]) / elapsed
        found["memory_bytes"] = resident(self.gateway.pid)
        grown = found["memory_bytes"] - found["memory_before_bytes"]
        found["bytes_per_session"] = grown / max(1, found["sessions"])

    def generators(self):
        return [process.pid for process in self.pair.processes[2:] if process.poll() is None]

    def busy(self, found, seconds):
        """Mbit/s of IP that one more session gets through the gateway and back; the median of three."""
        options = ["--reflector", REFLECTOR, "--window", str(WINDOW), "--size", "1400", "--duration", f"{seconds}s"]
        rates = []
        for number in range(3):
            jobs = self.bench("traffic", 1, *options, first=1_000_000 + number)
            rates.append(self.finish(jobs, 60 + seconds)[0]["traffic"]["received_mbit"])
        found["busy_mbit"] = statistics.median(rates)


def measure(binary, sessions, options):
    """Everything about one size."""
    with Rig(binary, f"scale{sessions}") as rig:
        progress(f"{sessions} sessions")
        with rig.held(sessions, options.rate) as found:
            # Buffers of the logins are given back, and each path is tried once, before it is idle.
            rig.idle(found, options.idle, 10)
            rig.busy(found, options.seconds)
        return found


COLUMNS = (
    ("sessions", lambda one: f"{one['sessions']:,}"),
    ("bytes each", lambda one: f"{one['bytes_per_session']:,.0f}"),
    ("login, median (ms)", lambda one: f"{one['login_p50_ms']:.0f}"),
    ("99th percentile (ms)", lambda one: f"{one['login_p99_ms']:.0f}"),
    ("logins a second", lambda one: f"{one['logins_per_second']:.0f}"),
    ("gateway idle (% of a core)", lambda one: f"{one['gateway_cpu_percent']:.2f}"),
    ("load generator idle (%)", lambda one: f"{one['generator_cpu_percent']:.2f}"),
    ("one busy session beside (Mbit/s)", lambda one: f"{one['busy_mbit']:.0f}"),
    ("lost", lambda one: str(one["lost"] + one["failed"])),
)


def table(found):
    rows = [[name for name, _ in COLUMNS], ["---:"] * len(COLUMNS)]
    rows += [[show(one) for _, show in COLUMNS] for one in found["sizes"]]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write(found):
    """Writes the table below docs/performance/."""
    folder, of = os.path.join(ROOT, "docs", "performance"), found["machine"]
    text = f"""# Cost by number of sessions

Written by `bench/scale --write`: gateway and load generator on one machine ({of["processor"]}, {of["cores"]} cores,
Linux {of["kernel"]}), AES-256-GCM in UDP. Bytes are resident memory of the gateway. Idle is {found["idle_seconds"]} s
with keepalives only. The busy session is one more, with {WINDOW} packets of 1400 bytes on their way to a
reflector behind the gateway and back.

{table(found)}
"""
    with open(os.path.join(folder, "scale.md"), "w") as file:
        file.write(text)
    with open(os.path.join(folder, "scale.json"), "w") as file:
        json.dump(found, file, indent=1)
        file.write("\n")


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
