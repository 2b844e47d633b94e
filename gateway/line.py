"""One connection's socket with a buffer on each side, and the bell that wakes the thread behind it.

paho reads a packet in four small pieces and writes each on its own, and a system call for each
costs more than all the rest. A line takes every packet whole, so that what two threads send cannot
mix within one, and takes nothing any more once it is closed. It knows nothing of MQTT.
"""

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any

READ_BYTES = 256 * 1024
LINGER_S = 0.5  # a broker on the other side of the world answers within it


class Line:
    """What paho takes for its socket. One thread reads and flushes, any may `send`."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._lock = threading.Lock()
        self._open = True
        with suppress(OSError):  # our bursts are whole: nothing is gained by holding back the last
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def unsent(self) -> int:
        return len(self._out)

    def pending(self) -> int:
        """Bytes that can be read without asking the system."""
        held = self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0
        return len(self._in) - self._at + held

    def recv(self, count: int) -> bytes:
        if self._at >= len(self._in):
            self._in, self._at = self._sock.recv(READ_BYTES), 0
        piece = self._in[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def send(self, packet: bytes | bytearray) -> int:
        """Put a packet behind the others; nothing on a line that is closed."""
        with self._lock:
            if self._open:
                self._out += packet
        return len(packet)

    def flush(self) -> None:
        """Send what the system takes without waiting. A broken line shows when it is read."""
        with self._lock, suppress(OSError):  # BlockingIOError and ssl's own are among them
            while self._out:
                del self._out[: self._sock.send(self._out)]

    def fileno(self) -> int:
        return int(self._sock.fileno())

    def setblocking(self, flag: bool, /) -> None:
        self._sock.setblocking(flag)

    def close(self) -> None:
        """Returns when the other side has read all of it, or after LINGER_S: closed at once, what
        it has not read yet might be thrown away, and the last acknowledgements with it.
        """
        self.flush()
        with self._lock:
            self._open = False
            self._out.clear()
        end = time.monotonic() + LINGER_S
        with suppress(OSError):  # broken, or still not closed from there: then that is that
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(LINGER_S)
            while self._sock.recv(READ_BYTES) and time.monotonic() < end:
                pass
        self._sock.close()


class Waker:
    """Ends the network thread's sleep from another thread."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._rung = False

    def ring(self) -> None:
        if not self._rung:
            self._rung = True
            with suppress(OSError):
                self._writer.send(b"!")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            self._reader.recv(64)
        self._rung = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
