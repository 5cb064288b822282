"""Hosts that do not answer cost at most ten seconds in all, and are left alone for ten minutes.

A closed network often drops packets instead of refusing them, and every library then waits through
its own timeout, for every address and every file. Here one short connection per host decides, a
common purse of seconds bounds what all silent hosts together may cost this process, and a small file
in the cache spares the next process the same wait.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests.utils

CONNECT_SECONDS = 3.0
"""Longest wait for one host to accept a connection, name resolution included."""
BUDGET_SECONDS = 10.0
"""Longest wait for all silent hosts of one process together."""
REMEMBER_SECONDS = 600.0
"""How long a silent host is left alone, across processes."""


class HostUnreachable(Exception):
    """A host that did not answer now, or did not a short while ago."""


def try_connection(host: str, port: int, seconds: float) -> str | None:
    """Returns why `host` cannot be reached within `seconds`, or None where it accepts a connection.

    It runs in a thread of its own, because neither the resolver nor a name with several addresses
    keeps to a timeout.
    """
    outcome: list[str | None] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            outcome.append(None)
        except socket.gaierror as error:
            outcome.append(f"its name is not resolved ({error.strerror or error})")
        except OSError as error:
            outcome.append(str(error) or type(error).__name__)

    worker = threading.Thread(target=attempt, daemon=True)
    worker.start()
    worker.join(seconds)
    return outcome[0] if outcome else f"no answer in {seconds:.0f} s"


class HostWatch:
    """Which hosts answer, and how long silent ones may still keep this process waiting.

    Args:
        memory: JSON file that remembers silent hosts across processes.
        connect: Replaces `try_connection` in tests; so do `clock` (elapsed seconds) and `wall` (Unix time).
    """

    def __init__(
        self,
        memory: Path,
        connect: Callable[[str, int, float], str | None] = try_connection,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._memory, self._connect, self._clock, self._wall = memory, connect, clock, wall
        self._alive: set[str] = set()
        self._silent = self._remembered()
        self.spent = 0.0

    @property
    def patience(self) -> float:
        """Seconds that silent hosts may still cost, at least 0."""
        return max(0.0, BUDGET_SECONDS - self.spent)

    def reach(self, url: str) -> None:
        """Makes sure that the host of `url`, or the proxy in front of it, accepts connections.

        Raises:
            HostUnreachable: It does not, it did not a short while ago, or the purse is empty.
        """
        host, port = _endpoint(url)
        if host in self._alive:
            return
        if host in self._silent:
            until, reason = self._silent[host]
            if self._wall() < until:
                wait = f"next try in {max(1, round((until - self._wall()) / 60))} min"
                raise HostUnreachable(f"{host} did not answer a short while ago: {reason}; {wait}")
        if self.patience <= 0:
            raise HostUnreachable(f"{host} not tried: {BUDGET_SECONDS:.0f} s for silent hosts are used up")
        start = self._clock()
        reason = self._connect(host, port, min(CONNECT_SECONDS, self.patience))
        if reason is not None:
            self.give_up(url, reason, waited=self._clock() - start)
        self._alive.add(host)

    def give_up(self, url: str, reason: str, waited: float) -> None:
        """Remembers that a host kept us waiting `waited` seconds in vain; always raises HostUnreachable."""
        host, _ = _endpoint(url)
        self.spent += waited
        self._alive.discard(host)
        self._silent[host] = (self._wall() + REMEMBER_SECONDS, reason)
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            self._memory.write_text(json.dumps(self._silent), encoding="utf-8")
        except OSError:
            pass  # A cache that cannot be written costs the next process a few seconds, no more.
        raise HostUnreachable(f"{host} cannot be reached: {reason}")

    def forget(self) -> None:
        """Lets every host be tried again, for a user who asks for one file by name."""
        self._silent.clear()
        self.spent = 0.0
        self._memory.unlink(missing_ok=True)

    def _remembered(self) -> dict[str, tuple[float, str]]:
        try:
            stored = json.loads(self._memory.read_text(encoding="utf-8"))
            return {str(host): (float(until), str(reason)) for host, (until, reason) in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # Absent, or half written by another process: nothing is remembered.


def _endpoint(url: str) -> tuple[str, int]:
    """Returns host and port that a request for `url` connects to first."""
    proxies = requests.utils.get_environ_proxies(url)
    proxy = requests.utils.select_proxy(url, proxies)
    parts = urlsplit((proxy if "://" in proxy else f"http://{proxy}") if proxy else url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
