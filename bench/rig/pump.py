"""Many TCP streams in one process: what is at one end, whatever is between.

    pump.py sink ADDRESS PORT                             takes streams until it is ended
    pump.py up|down ADDRESS PORT SECONDS SOURCE...        one stream from each source; prints Gbit/s

The first byte of a stream says who sends: `u` the client, `d` the server. What arrived is counted
where they arrived, or by what the other end confirmed.
"""

import selectors
import socket
import sys
import time

BLOCK = bytes(256 << 10)
# A stream is counted from here on: the beginning is slow start.
WARM_UP = 0.5


def sink(address, port):
    listener = socket.create_server((address, port), backlog=1024)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    room = bytearray(1 << 20)
    while True:
        for key, events in selector.select():
            one = key.fileobj
            if one is listener:
                peer, _ = listener.accept()
                peer.setblocking(False)
                selector.register(peer, selectors.EVENT_READ, data="new")
                continue
            try:
                if events & selectors.EVENT_WRITE:
                    one.send(BLOCK)
                elif key.data == "new":
                    if one.recv(1) == b"d":
                        selector.modify(one, selectors.EVENT_WRITE, data="down")
                    else:
                        selector.modify(one, selectors.EVENT_READ, data="up")
                elif not one.recv_into(room):
                    raise ConnectionError("over")
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(one)
                one.close()


def streams(letter, address, port, sources):
    for source in sources:
        one = socket.create_connection((address, port), timeout=20, source_address=(source, 0))
        one.send(letter)
        one.setblocking(False)
        yield one


def acknowledged(one):
    """Bytes that the other end has confirmed: `tcpi_bytes_acked` of tcp_info."""
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    return int.from_bytes(info[120:128], sys.byteorder)


def client(direction, address, port, seconds, sources):
    up = direction == "up"
    selector, room, received = selectors.DefaultSelector(), bytearray(1 << 20), 0
    all_streams = list(streams(b"u" if up else b"d", address, port, sources))
    for one in all_streams:
        selector.register(one, selectors.EVENT_WRITE if up else selectors.EVENT_READ)
    count = (lambda: sum(acknowledged(one) for one in all_streams)) if up else (lambda: received)
    began, before = time.monotonic(), None
    while (now := time.monotonic()) < began + WARM_UP + seconds:
        if before is None and now >= began + WARM_UP:
            before, counted_from = count(), now
        for key, _ in selector.select(0.1):
            try:
                if up:
                    key.fileobj.send(BLOCK)
                else:
                    received += key.fileobj.recv_into(room)
            except BlockingIOError:
                pass
    print((count() - before) * 8 / 1e9 / (time.monotonic() - counted_from))


if __name__ == "__main__":
    if sys.argv[1] == "sink":
        sink(sys.argv[2], int(sys.argv[3]))
    else:
        client(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5:])
