"""What every system that is compared has."""

from .namespaces import Pair, wait_for


class System:
    """One end-to-end path; `target` is the address that answers at its far end."""

    title = ""
    target = Pair.SERVER

    def __init__(self, name, tools):
        self.name, self.tools = name, tools
        self.pair = Pair(name)

    def start(self):
        self.pair.open()
        self.connect()
        self.pair.spawn(self.pair.server, "iperf3", "--server", "--bind", self.target)
        listening = lambda: ":5201" in self.pair.run(self.pair.server, "ss", "-Htln")
        wait_for(f"iperf3 of {self.name}", 10, listening)

    def connect(self):
        """Nothing to do: the bare cable."""

    def stop(self):
        self.pair.close()

    def reachable(self):
        ping = ["ping", "-c", "1", "-W", "1", self.target]
        wait_for(f"the tunnel of {self.name}", 30, lambda: "1 received" in self.pair.run(self.pair.client, *ping, check=False))
