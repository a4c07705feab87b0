"""Transfers through the systems, round by round."""

import json
import re

from . import report
from .crowd import Crowd


def iperf(system, seconds, *options):
    """The result of one iperf3 run."""
    pair = system.pair
    command = ["iperf3", "--client", system.target, "--time", str(seconds), "--omit", "0", "--json"]
    output = json.loads(pair.run(pair.client, *command, *options, check=False) or "{}")
    if "error" in output or "end" not in output:
        raise RuntimeError(f"{system.name}: iperf3: {output.get('error', 'no output')}")
    return output["end"]


def tcp(system, seconds, *options):
    """Gbit/s that arrived."""
    return iperf(system, seconds, *options)["sum_received"]["bits_per_second"] / 1e9


def small(system, seconds):
    """Datagrams of 64 bytes a second that came out of the tunnel, one way, thousands.

    They are counted where the far end's kernel would give them to the receiver, and nearly all are
    dropped there: iperf3's receiver is slower than the tunnels and takes processors away from them.
    """
    pair = system.pair
    pair.run(pair.server, "nft", SINK)
    try:
        iperf(system, seconds, "--udp", "--length", "64", "--bitrate", "0")
        listing = json.loads(pair.run(pair.server, "nft", "--json", "list", "counters", "table", "inet", "bench"))
    finally:
        pair.run(pair.server, "nft", "delete table inet bench")
    counter = next(item["counter"] for item in listing["nftables"] if "counter" in item)
    # Datagrams that came joined are one packet with one header of 28 bytes.
    return (counter["bytes"] - 28 * counter["packets"]) / 64 / seconds / 1e3


SINK = """
table inet bench {
    counter arrived { }
    chain input {
        type filter hook input priority 0;
        udp dport 5201 counter name arrived limit rate over 100/second drop
    }
}
"""


def latency(system, count=200):
    """Median round-trip time in microseconds on an idle path."""
    pair = system.pair
    output = pair.run(pair.client, "ping", "-n", "-i", "0.005", "-c", str(count), system.target)
    times = sorted(float(ms) for ms in re.findall(r"time=([\d.]+) ms", output))
    return times[len(times) // 2] * 1e3


def crowd(count, work):
    """A measure of systems that can have more clients, with so many of them."""

    def take(system, seconds):
        with Crowd(system, count) as many:
            return work(many, seconds)

    return take


# Measures that only some systems have.
OURS = {
    "tcp1_up": crowd(1, lambda one, seconds: one.tcp("up", seconds)),
    "tcp1_down": crowd(1, lambda one, seconds: one.tcp("down", seconds)),
    "tcp64_up": crowd(64, lambda many, seconds: many.tcp("up", seconds)),
    "tcp64_down": crowd(64, lambda many, seconds: many.tcp("down", seconds)),
    "loaded_ping_p99_us": crowd(1, lambda many, seconds: many.ping_beside_load(seconds)),
}
MEASURES = {
    "tcp_up": tcp,
    "tcp_down": lambda system, seconds: tcp(system, seconds, "--reverse"),
    "pps64": small,
    "ping_us": lambda system, _seconds: latency(system),
}


def rounds(systems, count, seconds, quick):
    """{measure: {system: [sample of each round]}}; systems take turns within a round."""
    measures = MEASURES if quick else {**MEASURES, **OURS}
    takes_part = lambda measure, system: measure not in OURS or hasattr(system, "carry")
    samples = {measure: {system.name: [] for system in systems if takes_part(measure, system)} for measure in measures}
    for number in range(count):
        # Another order each round, so that none always follows the same neighbour.
        shift = number % len(systems)
        turn = systems[shift:] + systems[:shift]
        for measure, take in measures.items():
            for system in (one for one in turn if takes_part(measure, one)):
                sample = take(system, seconds)
                samples[measure][system.name].append(sample)
                report.progress(f"round {number + 1}/{count} {measure} {system.name}: {sample:.2f}")
    return samples
