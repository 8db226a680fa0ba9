"""A switch between hosts in network namespaces, with a given delay and loss.

python switch.py DELAY_SECONDS LOSS PID…

gives each process's namespace an interface eth0, and passes frames on after the delay, but for the share LOSS
of them. For kernels without the netem queue.
"""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import sys
import time

CLONE_NEWNET = 0x40000000  # see setns(2)
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # see the kernel's tuntap.rst


def main() -> None:
    delay_seconds, loss = float(sys.argv[1]), float(sys.argv[2])
    ports = [tap(process) for process in sys.argv[3:]]
    selector = selectors.DefaultSelector()
    for port in ports:
        selector.register(port, selectors.EVENT_READ)
    chance = random.Random(1)
    place: dict[bytes, int] = {}
    """The port on which each hardware address was seen."""
    on_their_way: list[tuple[float, int, int, bytes]] = []
    """For each frame: when it is due, a running number, its ports and its bytes."""
    number = 0
    while True:
        now = time.monotonic()
        while on_their_way and on_their_way[0][0] <= now:
            _, _, port, frame = heapq.heappop(on_their_way)
            try:
                os.write(port, frame)
            except OSError:  # the host is gone
                continue
        for key, _ in selector.select(on_their_way[0][0] - now if on_their_way else None):
            try:
                frame = os.read(key.fd, 65536)
            except OSError:
                continue
            to, place[frame[6:12]] = frame[:6], key.fd
            for port in [place[to]] if to in place else [port for port in ports if port != key.fd]:
                if chance.random() >= loss:
                    number += 1
                    heapq.heappush(on_their_way, (time.monotonic() + delay_seconds, number, port, frame))


def tap(process: str) -> int:
    """Make an interface eth0 in the network namespace of a process; return its other end."""
    own, others = (os.open(f"/proc/{name}/ns/net", os.O_RDONLY) for name in ("self", process))
    enter(others)
    port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI))
    enter(own)
    return port


def enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


if __name__ == "__main__":
    main()
