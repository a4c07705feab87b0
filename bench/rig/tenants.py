"""One gateway with many tenants: what they cost, and what stays of them."""

import difflib
import json
import os
import subprocess
import time

from .namespaces import Pair, run, wait_for
from .report import progress

PSK, PASSWORD = "bench pre-shared key", "bench password"
LOGINS_PER_SECOND = 400
# All that a gateway may change; names of namespaces are the machine's.
STATE = (
    "ip -o link", "ip -o address", "ip route show table all", "ip -6 route show table all", "ip rule", "ip -6 rule",
    "nft list ruleset", "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
)


class Rig:
    """A gateway of many tenants and where their clients are; a context."""

    def __init__(self, binary, tenants):
        self.binary, self.pair = binary, Pair("tenants")
        self.names = [f"t{number}" for number in range(tenants)]

    def __enter__(self):
        try:
            self.pair.open()
            self.pair.put("psk", f"{PSK}\n")
            self.pair.put("password", f"{PASSWORD}\n")
            self.write(self.names)
            wait_for("the cable", 10, self.settled)
        except BaseException:
            self.pair.close()
            raise
        return self

    def __exit__(self, *_error):
        self.pair.close()

    def settled(self):
        """Whether the kernel has given the cable its own address, so that nothing changes by itself any more."""
        addresses = self.inside("ip address show dev cable")
        return "fe80:" in addresses and "tentative" not in addresses

    def namespace(self, name):
        return f"{self.pair.server}-{name}"

    def write(self, names):
        """The configuration with the tenants of those names."""
        each = (TENANT.format(name=name, namespace=self.namespace(name), password=PASSWORD) for name in names)
        socket = self.pair.path("control.sock")
        self.config = self.pair.put("isthmus.toml", GATEWAY.format(socket=socket) + "".join(each))

    def start(self):
        # Not `ip netns exec`: names of namespaces that the gateway makes there would stay there.
        command = [self.binary, "run", "--config", self.config]
        self.gateway = self.pair.spawn(self.pair.server, *command, same_names=True)
        wait_for("the gateway", 120, lambda: self.up() and self.ask("status") is not None)

    def up(self):
        if self.gateway.poll() is None:
            return True
        with open(self.gateway.log_path) as log:
            raise RuntimeError(f"the gateway has ended: {log.read()[-1000:]}")

    def stop(self):
        self.gateway.terminate()
        if self.gateway.wait(120) != 0:
            raise RuntimeError(f"the gateway ended with {self.gateway.returncode}")

    def ask(self, *words):
        """What a running gateway answers; None when it does not."""
        command = [self.binary, *words, "--json", "--socket", self.pair.path("control.sock")]
        done = subprocess.run(command, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def plan(self):
        """Changes that a look of another process finds."""
        space = f"--net=/run/netns/{self.pair.server}"
        output = run("nsenter", space, self.binary, "plan", "--config", self.config, "--json")
        return json.loads(output)

    def hold(self, sessions):
        """Logs users in, so many of each tenant, until all are up."""
        for _ in range(sessions):
            self.pair.spawn(
                self.pair.client, self.binary, "bench", "hold", "--server", Pair.SERVER, "--public-target",
                "--psk-file", self.pair.path("psk"), "--user", "bench@t{}", "--password-file",
                self.pair.path("password"), "--clients", str(len(self.names)), "--rate",
                str(LOGINS_PER_SECOND / sessions), "--duration", "1h", "--vanish", "--quiet",
            )
        self.wait_sessions(sessions * len(self.names))

    def wait_sessions(self, number):
        wait_for(f"{number} sessions", 60 + number / 50, lambda: self.ask("status")["sessions"] == number)

    def inside(self, command):
        return run("nsenter", f"--net=/run/netns/{self.pair.server}", *command.split())

    def state(self):
        """Everything a gateway could leave."""
        found = {command: self.inside(command) for command in STATE}
        found["ip netns"] = run("ip", "netns")
        return found


def measure(binary, tenants, sessions):
    """What so many tenants with so many sessions cost, in seconds, and what stayed."""
    with Rig(binary, tenants) as rig:
        found = {"tenants": tenants, "sessions": sessions * tenants}
        before = rig.state()
        progress(f"starting {tenants} tenants")
        timed(found, "start_seconds", rig.start)
        progress(f"{sessions * tenants} logins")
        timed(found, "logins_seconds", lambda: rig.hold(sessions))
        changes = timed(found, "plan_seconds", rig.plan)
        found["changes_found"] = len(changes["steps"])
        timed(found, "reload_unchanged_seconds", lambda: required(rig.ask("reload")))
        gone = rig.names[tenants // 2]
        rig.write([name for name in rig.names if name != gone])
        progress(f"removing {gone}")
        timed(found, "reload_without_one_seconds", lambda: required(rig.ask("reload")))
        rig.wait_sessions(sessions * (tenants - 1))
        found["left_by_a_tenant"] = rig.namespace(gone) in run("ip", "netns").split()
        timed(found, "stop_seconds", rig.stop)
        after = rig.state()
        found["left_by_the_gateway"] = [line for command in before for line in differing(before[command], after[command])]
        return found


def differing(before, after):
    """Lines that are only in one of two texts."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def timed(found, name, work):
    began = time.monotonic()
    result = work()
    found[name] = round(time.monotonic() - began, 2)
    return result


def required(answer):
    if answer is None:
        raise RuntimeError("the gateway refused")
    return answer


ROWS = (
    ("start until all are served (s)", "start_seconds"),
    ("all logins (s)", "logins_seconds"),
    ("`isthmus plan` (s)", "plan_seconds"),
    ("changes it found", "changes_found"),
    ("reload, nothing new (s)", "reload_unchanged_seconds"),
    ("reload without one tenant (s)", "reload_without_one_seconds"),
    ("stop (s)", "stop_seconds"),
    ("a removed tenant left something", "left_by_a_tenant"),
    ("what the gateway left", "left_by_the_gateway"),
)


def table(found):
    title = f"{found['tenants']} tenants, {found['sessions']:,} sessions"
    rows = [f"| {name} | {found[key] or ('nothing' if isinstance(found[key], list) else found[key])} |" for name, key in ROWS]
    return "\n".join([f"| {title} | |", "|---|---:|", *rows])


GATEWAY = """[gateway]
name = "bench-tenants"
control_socket = "{socket}"
[ipsec]
psk_file = "psk"
force_encap = true
"""
TENANT = """[[tenant]]
name = "{name}"
netns = "{namespace}"
realm = "{name}"
interface = "{name}"
pool = ["10.64.0.0/24"]
[tenant.users.bench]
password = "{password}"
"""
