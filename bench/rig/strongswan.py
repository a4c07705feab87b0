"""strongSwan with ESP in user space (its kernel-libipsec), two daemons, ESP in UDP."""

from .namespaces import Pair, wait_for
from .system import System

PACKAGES = {
    "/usr/lib/ipsec/charon": "strongswan-charon",
    "/usr/sbin/swanctl": "strongswan-swanctl",
    "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so": "libcharon-extra-plugins",
    "/usr/lib/ipsec/plugins/libstrongswan-openssl.so": "libstrongswan-standard-plugins",
}


class StrongSwan(System):
    """A tunnel between the addresses that both ends have on their loopback devices."""

    target = "10.98.0.2"
    suite = ""

    def connect(self):
        pair = self.pair
        ends = (
            (pair.server, Pair.SERVER, self.target, Pair.CLIENT, "10.98.0.1"),
            (pair.client, Pair.CLIENT, "10.98.0.1", Pair.SERVER, self.target),
        )
        for space, outer, inner, remote, other in ends:
            pair.run(space, "ip", "address", "add", f"{inner}/32", "dev", "lo")
            # Each has a /run of its own, which belongs to the namespace that `ip netns exec` makes.
            daemon = "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon"
            pair.spawn(space, "sh", "-c", daemon, env=self.environment(space))
            wait_for("charon", 10, lambda: "uptime" in self.swanctl(space, "--stats"))
            self.put(space, outer, inner, remote, other)
            self.swanctl(space, "--load-all", "--file", pair.path(f"swanctl-{space[-1]}.conf"))
        initiated = lambda: "successfully" in self.swanctl(pair.client, "--initiate", "--child", "net")
        wait_for("an SA of strongSwan", 20, initiated)
        self.reachable()

    def put(self, space, outer, inner, remote, other):
        self.pair.put(f"swanctl-{space[-1]}.conf", f"""
connections {{ pair {{
    version = 2
    proposals = aes256-sha256-ecp256
    local_addrs = {outer}
    remote_addrs = {remote}
    encap = yes
    local {{ auth = psk }}
    remote {{ auth = psk }}
    children {{ net {{
        local_ts = {inner}/32
        remote_ts = {other}/32
        esp_proposals = {self.suite}
    }} }}
}} }}
secrets {{ ike {{ secret = "bench pre-shared key" }} }}
""")

    def environment(self, space):
        """Where the daemon of a namespace finds what it is to be."""
        end = space[-1]
        config = self.pair.put(f"strongswan-{end}.conf", f"""
charon {{
    load_modular = no
    load = random nonce openssl aes sha1 sha2 hmac kdf gcm kernel-libipsec kernel-netlink socket-default vici
    plugins {{ vici {{ socket = unix://{self.pair.path(f"vici-{end}")} }} }}
}}
swanctl {{ load = random openssl pem pkcs1 x509 }}
""")
        return {"STRONGSWAN_CONF": config}

    def swanctl(self, space, *words):
        socket = f"unix://{self.pair.path(f'vici-{space[-1]}')}"
        return self.pair.run(space, "/usr/sbin/swanctl", *words, "--uri", socket, check=False)


class StrongSwanCbc(StrongSwan):
    title, suite = "strongSwan libipsec, AES-256-CBC + HMAC-SHA1", "aes256-sha1"


class StrongSwanGcm(StrongSwan):
    title, suite = "strongSwan libipsec, AES-256-GCM", "aes256gcm16"
