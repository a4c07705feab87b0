"""Two network namespaces with a cable, and the processes in them."""

import os
import signal
import subprocess
import tempfile
import time


def run(*command, check=True, **options):
    """Runs a command; its output is text."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait_for(what, seconds, holds):
    """Polls until `holds()`; time is bounded."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"gave up waiting for {what}")
        time.sleep(0.05)


class Pair:
    """A client's and a server's namespace; 192.0.2.1 and 192.0.2.2 are the ends of the cable."""

    CLIENT, SERVER = "192.0.2.1", "192.0.2.2"

    def __init__(self, name):
        self.client = f"isb{os.getpid()}-{name}-c"
        self.server = f"isb{os.getpid()}-{name}-s"
        self.folder = tempfile.mkdtemp(prefix=f"isthmus-bench-{name}-")
        self.processes = []

    def open(self):
        for space in (self.client, self.server):
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
        run("ip", "-n", self.client, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", self.server)
        for space, address in ((self.client, self.CLIENT), (self.server, self.SERVER)):
            run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "cable")
            run("ip", "-n", space, "link", "set", "cable", "up")

    def spawn(self, space, *command, env=None, same_names=False):
        """Starts a program in a namespace; it ends with the pair. With `same_names` it sees and makes the same
        names of namespaces as everybody; `ip netns exec` gives it mounts of its own."""
        log = open(os.path.join(self.folder, f"{len(self.processes)}-{os.path.basename(command[0])}.log"), "w")
        process = subprocess.Popen(
            [*(("nsenter", f"--net=/run/netns/{space}") if same_names else ("ip", "netns", "exec", space)), *command],
            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, process_group=0,
        )
        process.log_path = log.name
        log.close()
        self.processes.append(process)
        return process

    def end(self, process):
        """Ends a program."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def run(self, space, *command, **options):
        return run("ip", "netns", "exec", space, *command, **options)

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def close(self):
        for process in reversed(self.processes):
            self.end(process)
        for space in (self.client, self.server):
            run("ip", "netns", "delete", space, check=False)
        run("rm", "-rf", self.folder)
