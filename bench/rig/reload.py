"""Reloads under a session that carries as much as it can."""

import json
import re
import statistics
import subprocess
import time

from . import gateway
from .report import progress
from .systems import IsthmusGcm

# Another tenant, in a namespace of its own, that comes and goes; and a rule of ours that concerns nobody.
OTHER = """[[tenant]]
name = "other"
netns = "{namespace}"
pool = ["10.65.0.0/24"]
psk = "a key that only the other has"
[tenant.users.somebody]
password = "bench password"
"""
RULE = """[tenant.policy]
default = "allow"
[[tenant.policy.rule]]
name = "nobody"
action = "deny"
to = "198.18.99.0/24"
"""
POOL = "10.64.0.0/16"


def run(binary, rounds, seconds):
    """Rounds of a transfer and pings, each without and with reloads; what came of all."""
    system = IsthmusGcm("reload", {"isthmus": binary})
    try:
        system.start()
        session = sessions(system)
        found = {"quiet": [], "reloads": []}
        for number in range(rounds):
            for kind, reload in (("quiet", False), ("reloads", True)):
                found[kind].append(round_of(system, seconds, reload))
                progress(f"round {number + 1}/{rounds} {kind}: {json.dumps(found[kind][-1])}")
        if sessions(system) != session:
            raise RuntimeError("the session is another one")
        return {kind: summary(all_of) for kind, all_of in found.items()}
    finally:
        system.stop()


def sessions(system):
    command = [system.tools["isthmus"], "sessions", "--json", "--socket", system.pair.path("control.sock")]
    return [session["id"] for session in json.loads(system.pair.run(system.pair.server, *command))]


def round_of(system, seconds, reload):
    """Gbit/s, pings sent and lost, the longest round trip in ms, and reloads in force."""
    count = int(seconds / INTERVAL)
    pinging = subprocess.Popen(
        ["ip", "netns", "exec", system.pair.client, "ping", "-n", "-i", str(INTERVAL), "-c", str(count), "-W", "2", system.target],
        stdout=subprocess.PIPE, text=True,
    )
    load = subprocess.Popen(
        ["ip", "netns", "exec", system.pair.client, "iperf3", "--client", system.target, "--time", str(seconds), "--json"],
        stdout=subprocess.PIPE, text=True,
    )
    ends, made = time.monotonic() + seconds, 0
    while reload and time.monotonic() < ends - 0.5:
        made += 1
        one(system, made)
        time.sleep(0.2)
    rate = json.loads(load.communicate(timeout=seconds + 60)[0])["end"]["sum_received"]["bits_per_second"] / 1e9
    said = pinging.communicate(timeout=seconds + 60)[0]
    times = [float(ms) for ms in re.findall(r"time=([\d.]+) ms", said)]
    return {"gbit": round(rate, 3), "pings": count, "lost": count - len(times), "longest_ms": max(times), "reloads": made}


def one(system, number):
    """The next of: a rule, another tenant beside it, the tenant without the rule, neither."""
    pair = system.pair
    rule, other = ((RULE, ""), (RULE, OTHER), ("", OTHER), ("", ""))[number % 4]
    gateway.configure(pair, system.name, POOL, rule + other.format(namespace=f"{pair.server}-other"))
    pair.run(pair.server, system.tools["isthmus"], "reload", "--socket", pair.path("control.sock"))


def summary(rounds):
    pick = lambda key: [one[key] for one in rounds]
    return {
        "gbit": statistics.median(pick("gbit")), "pings": sum(pick("pings")), "lost": sum(pick("lost")),
        "longest_ms": max(pick("longest_ms")), "reloads": sum(pick("reloads")),
    }


def table(found):
    lines = ["| | Gbit/s | pings | lost | longest, ms | reloads |", "|---|---|---|---|---|---|"]
    for kind, one in found.items():
        lines.append(f"| {kind} | {one['gbit']:.2f} | {one['pings']} | {one['lost']} | {one['longest_ms']:.1f} | {one['reloads']} |")
    return "\n".join(lines)


INTERVAL = 0.01
