"""The gateway under test, with one user and a pool for everybody."""

from .namespaces import run, wait_for

PSK, PASSWORD = "bench pre-shared key", "bench password"


def start(pair, binary, name, pool, tenant=""):
    """Runs a gateway, with lines of its tenant added, in the server's namespace until it answers; its process."""
    pair.put("users", f'[users.bench]\npassword = "{PASSWORD}"\n')
    pair.put("psk", f"{PSK}\n")
    config = configure(pair, name, pool, tenant)
    gateway = pair.spawn(pair.server, binary, "run", "--config", config)
    wait_for("the gateway", 20, lambda: gateway.poll() is None and status(pair, binary) != "")
    return gateway


def configure(pair, name, pool, tenant=""):
    """Writes the configuration; its path."""
    return pair.put("isthmus.toml", f'''[gateway]
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
{tenant}''')


def policy(entries, pool):
    """Lines of a tenant with so many entries of policy, by network and by service, that all must be looked
    through before the pool is allowed."""
    nets = ", ".join(f'"11.{n >> 8 & 255}.{n & 255}.0/25"' for n in range(entries // 2))
    rules = "".join(f'''[[tenant.policy.rule]]
name = "service-{n}"
action = "deny"
to = "12.{n >> 8 & 255}.{n & 255}.0/24"
service = "tcp/{n + 1}"
''' for n in range(entries - entries // 2))
    return f'''[tenant.policy]
default = "deny"
[[tenant.policy.rule]]
name = "networks"
action = "deny"
to = [{nets}]
{rules}[[tenant.policy.rule]]
name = "inside"
action = "allow"
to = "{pool}"
'''


def status(pair, binary):
    """What it says of itself, as JSON; nothing when it does not answer."""
    return run(binary, "status", "--json", "--socket", pair.path("control.sock"), check=False)
