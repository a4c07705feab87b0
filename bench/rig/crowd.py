"""More clients of the same gateway, all in one process and on one device in a namespace of their own."""

import os
import re
import subprocess

from .namespaces import run, wait_for

PUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pump.py")


class Crowd:
    """`count` sessions beside the first one; a context.

    A process for each client would make this machine's scheduler what is measured: see `isthmus bench
    carry`.
    """

    STREET, HOME = "198.51.100.1", "198.51.100.2"

    def __init__(self, system, count):
        self.system, self.pair, self.count = system, system.pair, count
        self.home = f"{self.pair.client}h"

    def __enter__(self):
        pair, home = self.pair, self.home
        run("ip", "netns", "add", home)
        run("ip", "-n", home, "link", "add", "cable", "type", "veth", "peer", "name", "street", "netns", pair.server)
        for space, device, address in ((home, "cable", self.HOME), (pair.server, "street", self.STREET)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", device)
            run("ip", "-n", space, "link", "set", device, "up")
        self.sink = pair.spawn(pair.server, "python3", PUMP, "sink", self.system.target, PORT)
        wait_for("the sink", 10, lambda: f":{PORT}" in pair.run(pair.server, "ss", "-Htln"))
        self.clients = self.system.carry(home, self.STREET, self.count)
        wait_for(f"{self.count} more clients of {self.system.name}", 60, lambda: len(self.addresses()) == self.count)
        return self

    def __exit__(self, *_error):
        self.pair.end(self.clients)
        self.pair.end(self.sink)
        # A namespace goes when the kernel comes to it, and with it what is in it.
        run("ip", "-n", self.pair.server, "link", "delete", "street", check=False)
        run("ip", "netns", "delete", self.home, check=False)
        wait_for("the crowd to leave", 30, lambda: self.system.sessions() == 1)

    def addresses(self):
        """Those of the sessions."""
        listing = run("ip", "-n", self.home, "-4", "-o", "address", "show", "dev", self.system.CARRIER, check=False)
        return re.findall(r"inet ([\d.]+)/", listing)

    def tcp(self, direction, seconds):
        """Gbit/s that arrived, a stream in each session, all together."""
        command = ["python3", PUMP, direction, self.system.target, PORT, str(seconds), *self.addresses()]
        return float(self.pair.run(self.home, *command, timeout=seconds + 60))

    def ping_beside_load(self, seconds):
        """The 99th percentile of round trips in microseconds while the first session is full; one that
        is lost counts as a second."""
        pair = self.pair
        load = subprocess.Popen(
            ["ip", "netns", "exec", pair.client, "iperf3", "--client", self.system.target, "--time", str(seconds + 2)],
            stdout=subprocess.DEVNULL,
        )
        try:
            count = int(seconds / 0.005)
            ping = ["ping", "-n", "-i", "0.005", "-c", str(count), "-I", self.addresses()[0], self.system.target]
            output = pair.run(self.home, *ping, check=False)
        finally:
            load.wait(seconds + 60)
        times = sorted(float(ms) for ms in re.findall(r"time=([\d.]+) ms", output))
        times += [1000.0] * (count - len(times))
        return times[len(times) * 99 // 100] * 1e3


PORT = "5300"
