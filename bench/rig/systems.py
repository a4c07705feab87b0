"""The systems that are compared, each between two namespaces of its own."""

import json
import os

from . import gateway
from .namespaces import Pair, run, wait_for
from .strongswan import StrongSwanCbc, StrongSwanGcm
from .system import System


class Veth(System):
    title = "bare veth"


class Isthmus(System):
    """A gateway and `isthmus client connect`, ESP in UDP."""

    target = "10.64.0.1"
    CARRIER = "crowd"
    suite = ""
    # Lines of the tenant.
    tenant = ""

    def connect(self):
        gateway.start(self.pair, self.tools["isthmus"], self.name, "10.64.0.0/16", self.tenant)
        self.dial(self.pair.client, Pair.SERVER)
        self.reachable()

    def dial(self, space, server):
        """A client in a namespace."""
        command = ["client", "connect", "--server", server, "--force-encap", "--routes", "10.64.0.0/16"]
        return self.speak(space, *command)

    def carry(self, space, server, count):
        """Many clients in a namespace, all on one device."""
        command = ["bench", "carry", "--server", server, "--public-target", "--clients", str(count), "--rate", "1000"]
        return self.speak(space, *command, "--interface", self.CARRIER, "--route", "10.64.0.0/16")

    def speak(self, space, *command):
        return self.pair.spawn(
            space, self.tools["isthmus"], *command, "--esp", self.suite, "--user", "bench", "--json",
            env={"ISTHMUS_PSK": gateway.PSK, "ISTHMUS_PASSWORD": gateway.PASSWORD},
        )

    def sessions(self):
        """How many sessions the gateway has."""
        return json.loads(gateway.status(self.pair, self.tools["isthmus"]))["sessions"]


class IsthmusCbc(Isthmus):
    title, suite = "Isthmus, AES-256-CBC + HMAC-SHA1", "aes256-sha1"


class IsthmusGcm(Isthmus):
    title, suite = "Isthmus, AES-256-GCM", "aes256gcm16"


class IsthmusPolicy(IsthmusGcm):
    """With 10,000 entries of policy, of which the last one fits."""

    title = "Isthmus, AES-256-GCM, 10,000 policy entries"
    tenant = gateway.policy(10_000, "10.64.0.0/16")


class WireGuard(System):
    """A user-space WireGuard, configured by `wg`."""

    target = "10.99.0.2"
    mtu = "1420"

    def command(self):
        raise NotImplementedError

    def connect(self):
        pair = self.pair
        ends = ((pair.client, "10.99.0.1", Pair.SERVER, "10.99.0.2"), (pair.server, "10.99.0.2", Pair.CLIENT, "10.99.0.1"))
        keys = {}
        for space, *_ in ends:
            private = run("wg", "genkey").strip()
            keys[space] = (private, run("wg", "pubkey", input=private + "\n").strip())
        for space, own, remote, other in ends:
            # The interface's name is that of its control socket too, which is not in the namespace.
            device = f"w{os.getpid() % 10000}{self.name[:4]}{space[-1]}"
            pair.spawn(space, *self.command(), device, env={"WG_PROCESS_FOREGROUND": "1", "WG_QUICK_USERSPACE_IMPLEMENTATION": "1"})
            wait_for(f"{self.name}'s device", 10, lambda: os.path.exists(f"/var/run/wireguard/{device}.sock"))
            peer = keys[pair.server if space == pair.client else pair.client][1]
            secret = pair.put(f"key-{space[-1]}", keys[space][0])
            pair.run(space, "wg", "set", device, "listen-port", "51820", "private-key", secret,
                     "peer", peer, "allowed-ips", f"{other}/32", "endpoint", f"{remote}:51820")
            pair.run(space, "ip", "address", "add", f"{own}/24", "dev", device)
            pair.run(space, "ip", "link", "set", device, "mtu", self.mtu, "up")
        self.reachable()


class Gotatun(WireGuard):
    title = "gotatun"

    def command(self):
        return [self.tools["gotatun"], "--foreground", "--disable-drop-privileges"]


class Boringtun(WireGuard):
    title = "boringtun"

    def command(self):
        return [self.tools["boringtun-cli"], "--foreground", "--disable-drop-privileges"]


class WireguardGo(WireGuard):
    title = "wireguard-go (Debian, 2022)"

    def command(self):
        return ["wireguard-go", "--foreground"]


ALL = {
    "veth": Veth,
    "cbc": IsthmusCbc,
    "gcm": IsthmusGcm,
    "gcm-policy": IsthmusPolicy,
    "gotatun": Gotatun,
    "boringtun": Boringtun,
    "wireguard-go": WireguardGo,
    "strongswan-cbc": StrongSwanCbc,
    "strongswan-gcm": StrongSwanGcm,
}
QUICK = ["cbc", "gcm", "gotatun"]
