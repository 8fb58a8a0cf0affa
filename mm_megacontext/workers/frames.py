"""Messages between processes: a length, then that many bytes, over a socket. Nothing is unpickled."""

from __future__ import annotations

import socket
import struct
import time

_LENGTH = struct.Struct(">I")
_PIECE = 1 << 20


class FrameTooLong(ValueError):
    """A message says that it is longer than it may be."""


def send(to: socket.socket, message: bytes) -> None:
    """Send one message. Raises OSError where the other end is gone, or the socket's timeout is over."""
    to.sendall(_LENGTH.pack(len(message)) + message)


def receive(end: socket.socket, max_bytes: int, seconds: float | None = None) -> bytes:
    """Receive one message.

    Args:
        end: Where it comes from.
        max_bytes: The longest message that is taken.
        seconds: How long to wait for all of it; None: for ever.

    Raises:
        EOFError: The other end is gone.
        FrameTooLong: It would be longer than ``MAX_BYTES``; nothing of it was read.
        TimeoutError: It did not come in time.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_exactly(end, _LENGTH.size, deadline))
    if length > max_bytes:
        raise FrameTooLong(f"a message of {length} bytes is longer than {max_bytes}")
    return _exactly(end, length, deadline)


def _exactly(end: socket.socket, n_bytes: int, deadline: float | None) -> bytes:
    parts = bytearray()
    while len(parts) < n_bytes:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            end.settimeout(left)
        try:
            part = end.recv(min(_PIECE, n_bytes - len(parts)))
        except ConnectionError as e:
            raise EOFError("the other end is gone") from e
        if not part:
            raise EOFError("the other end is gone")
        parts += part
    return bytes(parts)
