"""Medians, ratios, the table and the plot."""

import json
import os
import platform
import statistics
import sys
import time

from . import systems

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNITS = {
    "tcp_up": "Gbit/s", "tcp_down": "Gbit/s", "pps64": "thousand packets/s", "ping_us": "us",
    "tcp1_up": "Gbit/s", "tcp1_down": "Gbit/s", "tcp64_up": "Gbit/s", "tcp64_down": "Gbit/s", "loaded_ping_p99_us": "us",
}
PEERS = ("gotatun", "boringtun", "wireguard-go", "strongswan-cbc", "strongswan-gcm", "veth")
NAMES = {
    "tcp_up": "TCP, client to gateway",
    "tcp_down": "TCP, gateway to client",
    "pps64": "UDP, 64-byte payloads, client to gateway",
    "ping_us": "round trip on an idle path, median",
    "tcp1_up": "TCP of one session of a crowd, client to gateway",
    "tcp1_down": "TCP of one session of a crowd, gateway to client",
    "tcp64_up": "TCP of 64 sessions at once, clients to gateway",
    "tcp64_down": "TCP of 64 sessions at once, gateway to clients",
    "loaded_ping_p99_us": "round trip beside a full session, 99th percentile",
}


def progress(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def result(samples, rounds, seconds):
    """Everything that was measured, with medians and ratios."""
    medians = {
        measure: {name: statistics.median(values) for name, values in per_system.items()}
        for measure, per_system in samples.items()
        if per_system
    }
    return {
        "rounds": rounds,
        "seconds": seconds,
        "machine": machine(),
        "units": UNITS,
        "medians": medians,
        "samples": samples,
        "ratios": ratios(samples),
    }


def ratios(samples):
    """Medians of the ratios within each round, so that a disturbed round weighs once."""
    found = {}

    def add(name, measure, ours, theirs):
        pairs = zip(samples[measure].get(ours, []), samples[measure].get(theirs, []))
        values = [a / b for a, b in pairs if b > 0]
        if values:
            found[name] = round(statistics.median(values), 2)

    suites = (("cbc_sha1", "cbc"), ("gcm", "gcm"))
    for peer in PEERS:
        key = peer.replace("-", "_")
        # strongSwan speaks the same suites, of which each is compared with itself.
        compared = [pair for pair in suites if not key.startswith("strongswan") or key.endswith(f"_{pair[1]}")]
        for suite, ours in compared:
            add(f"tcp_{suite}_down_vs_{key}", "tcp_down", ours, peer)
            add(f"tcp_{suite}_up_vs_{key}", "tcp_up", ours, peer)
            both = [found.get(f"tcp_{suite}_{way}_vs_{key}") for way in ("up", "down")]
            if None not in both:
                # The worse direction is the one that is claimed.
                found[f"tcp_{suite}_vs_{key}"] = min(both)
            add(f"pps64{'_gcm' if ours == 'gcm' else ''}_vs_{key}", "pps64", ours, peer)
    for measure in ("tcp_down", "tcp_up", "pps64"):
        add(f"policy_{measure}_vs_none", measure, "gcm-policy", "gcm")
    for suite, ours in suites:
        for way in ("up", "down"):
            many = samples.get(f"tcp64_{way}", {}).get(ours, [])
            # By the same programs at both ends, and by iperf3 with a client of its own.
            for name, one in (("one", samples.get(f"tcp1_{way}", {})), ("iperf3", samples[f"tcp_{way}"])):
                values = [all64 / alone for all64, alone in zip(many, one.get(ours, [])) if alone > 0]
                if values:
                    found[f"tcp64_{suite}_{way}_vs_{name}"] = round(statistics.median(values), 2)
    return found


def machine():
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "?")
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release()}


def table(found):
    """A table of medians in Markdown, and the ratios."""
    names = list(next(iter(found["medians"].values())))
    head = ["", *(systems.ALL[name].title for name in names)]
    rows = [head, ["---"] * len(head)]
    for measure, per_system in found["medians"].items():
        label = f"{NAMES[measure]} ({UNITS[measure]})"
        rows.append([label, *(f"{per_system[name]:.4g}" if name in per_system else "" for name in names)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| `{name}` | {value} |" for name, value in found["ratios"].items()]
    return "\n".join(lines)


def plot(found, measure):
    """Bars of one measure as SVG."""
    per_system = found["medians"][measure]
    most = max(per_system.values()) or 1
    bars = []
    for row, (name, value) in enumerate(per_system.items()):
        top, length = 40 + row * 28, 420 * value / most
        color = "#1f6feb" if name in ("cbc", "gcm") else "#8b949e"
        bars.append(f'<text x="250" y="{top + 14}" text-anchor="end">{systems.ALL[name].title}</text>')
        bars.append(f'<rect x="260" y="{top}" width="{length:.0f}" height="18" fill="{color}"/>')
        bars.append(f'<text x="{268 + length:.0f}" y="{top + 14}">{value:.3g}</text>')
    height = 50 + len(per_system) * 28
    title = f'<text x="10" y="22" font-weight="bold">{NAMES[measure]}, {UNITS[measure]}</text>'
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" {style}>{title}{"".join(bars)}</svg>\n'


def write(found):
    """Writes the table and the plots below docs/performance/."""
    folder = os.path.join(ROOT, "docs", "performance")
    os.makedirs(folder, exist_ok=True)
    of = found["machine"]
    text = f"""# Throughput

Written by `bench/throughput --write`: medians of {found["rounds"]} interleaved rounds of
{found["seconds"]} s, both ends of every tunnel on one machine ({of["processor"]}, {of["cores"]} cores,
Linux {of["kernel"]}). A ratio is the median of the ratios of each round.

{table(found)}

![TCP, client to gateway](tcp_up.svg)
![TCP, gateway to client](tcp_down.svg)
![small packets](pps64.svg)
"""
    for measure in ("tcp_up", "tcp_down", "pps64"):
        with open(os.path.join(folder, f"{measure}.svg"), "w") as file:
            file.write(plot(found, measure))
    with open(os.path.join(folder, "throughput.md"), "w") as file:
        file.write(text)
    with open(os.path.join(folder, "throughput.json"), "w") as file:
        json.dump(found, file, indent=1)
        file.write("\n")
