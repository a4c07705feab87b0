"""The gateway under test, with one user and a pool for everybody."""

from .namespaces import run, wait_for

PSK, PASSWORD = "bench pre-shared key", "bench password"


def start(pair, binary, name, pool):
    """Runs a gateway in the server's namespace until it answers; its process."""
    pair.put("users", f'[users.bench]\npassword = "{PASSWORD}"\n')
    pair.put("psk", f"{PSK}\n")
    config = pair.put("isthmus.toml", f'''[gateway]
name = "{name}"
control_socket = "{pair.path("control.sock")}"
[ipsec]
psk_file = "psk"
force_encap = true
[[tenant]]
name = "bench"
pool = ["{pool}"]
routes = ["{pool}"]
users_file = "users"
''')
    gateway = pair.spawn(pair.server, binary, "run", "--config", config)
    wait_for("the gateway", 20, lambda: gateway.poll() is None and status(pair, binary) != "")
    return gateway


def status(pair, binary):
    """What it says of itself, as JSON; nothing when it does not answer."""
    return run(binary, "status", "--json", "--socket", pair.path("control.sock"), check=False)
