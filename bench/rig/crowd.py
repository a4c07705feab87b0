"""More clients of the same gateway, each in a namespace of its own behind one bridge."""

import json
import re
import subprocess

from .namespaces import run, wait_for


class Crowd:
    """`count` sessions beside the first one; a context."""

    STREET = "198.51.100"

    def __init__(self, system, count):
        self.system, self.pair, self.count = system, system.pair, count
        self.homes = [f"{self.pair.client}{number}" for number in range(count)]

    def __enter__(self):
        server = self.pair.server
        run("ip", "-n", server, "link", "add", "street", "type", "bridge")
        run("ip", "-n", server, "address", "add", f"{self.STREET}.1/24", "dev", "street")
        run("ip", "-n", server, "link", "set", "street", "up")
        self.clients = []
        for number, home in enumerate(self.homes):
            self.build(home, number)
            self.clients.append(self.system.dial(home, f"{self.STREET}.1"))
        wait_for(f"{self.count} more clients of {self.system.name}", 60, lambda: self.system.sessions() == self.count + 1)
        # The gateway knows a session a little before its client has the routes.
        for home in self.homes:
            wait_for(f"routes in {home}", 20, lambda: "10.64.0.0/16" in run("ip", "-n", home, "route"))
        return self

    def build(self, home, number):
        run("ip", "netns", "add", home)
        far = f"home{number}"
        run("ip", "-n", home, "link", "add", "cable", "type", "veth", "peer", "name", far, "netns", self.pair.server)
        run("ip", "-n", home, "address", "add", f"{self.STREET}.{number + 2}/24", "dev", "cable")
        run("ip", "-n", home, "link", "set", "cable", "up")
        run("ip", "-n", self.pair.server, "link", "set", far, "master", "street", "up")

    def __exit__(self, *_error):
        for client in self.clients:
            self.pair.end(client)
        for home in self.homes:
            run("ip", "netns", "delete", home, check=False)
        run("ip", "-n", self.pair.server, "link", "delete", "street", check=False)
        wait_for("the crowd to leave", 30, lambda: self.system.sessions() == 1)

    def tcp(self, seconds, *options):
        """Gbit/s that arrived, all together."""
        servers, clients = [], []
        try:
            for number in range(self.count):
                port = str(FIRST_PORT + number)
                servers.append(self.pair.spawn(self.pair.server, "iperf3", "--server", "--bind", self.system.target, "--port", port))
            last = f":{FIRST_PORT + self.count - 1}"
            wait_for("64 servers", 20, lambda: self.pair.run(self.pair.server, "ss", "-Htln").count(":53") >= self.count and last in self.pair.run(self.pair.server, "ss", "-Htln"))
            for number, home in enumerate(self.homes):
                command = ["ip", "netns", "exec", home, "iperf3", "--client", self.system.target, "--port", str(FIRST_PORT + number),
                           "--time", str(seconds), "--json", *options]
                clients.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
            done = [json.loads(client.communicate(timeout=seconds + 60)[0] or "{}") for client in clients]
        finally:
            for client in clients:
                client.kill()
            for server in servers:
                self.pair.end(server)
        failed = [one.get("error", "no output") for one in done if "end" not in one or "error" in one]
        if failed:
            raise RuntimeError(f"{self.system.name}: {len(failed)} of {self.count} transfers: {failed[0]}")
        return sum(one["end"]["sum_received"]["bits_per_second"] for one in done) / 1e9

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
            output = pair.run(self.homes[0], "ping", "-n", "-i", "0.005", "-c", str(count), self.system.target, check=False)
        finally:
            load.wait(seconds + 60)
        times = sorted(float(ms) for ms in re.findall(r"time=([\d.]+) ms", output))
        times += [1000.0] * (count - len(times))
        return times[len(times) * 99 // 100] * 1e3


# 64 servers follow.
FIRST_PORT = 5300
