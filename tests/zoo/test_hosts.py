"""No test here waits: the clock and the connections are played."""

import socket
import threading

import pytest

from pose_utils.zoo import hosts
from pose_utils.zoo.hosts import BUDGET_SECONDS, CONNECT_SECONDS, REMEMBER_SECONDS, HostUnreachable, HostWatch


class World:
    """A clock that moves only when a host keeps somebody waiting."""

    def __init__(self, silent=(), refused=()):
        self.now, self.tried, self.silent, self.refused = 1000.0, [], silent, refused

    def connect(self, host, port, seconds):
        self.tried.append((host, port, seconds))
        if host in self.silent:
            self.now += seconds
            return f"no answer in {seconds:.0f} s"
        return "connection refused" if host in self.refused else None

    def watch(self, memory):
        return HostWatch(memory, connect=self.connect, clock=lambda: self.now, wall=lambda: self.now)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_twenty_silent_hosts_cost_no_more_than_the_budget(tmp_path):
    world = World(silent=[f"host{number}" for number in range(20)])
    watch = world.watch(tmp_path / "memory.json")
    for number in range(20):
        for _ in range(3):
            with pytest.raises(HostUnreachable):
                watch.reach(f"https://host{number}/file")
    assert world.now - 1000 == pytest.approx(BUDGET_SECONDS)
    assert len(world.tried) == 4  # 3 + 3 + 3 + 1 seconds
    assert all(seconds <= CONNECT_SECONDS for _, _, seconds in world.tried)


def test_a_silent_host_is_tried_once_in_ten_minutes_across_processes(tmp_path):
    world = World(silent=["dead"])
    with pytest.raises(HostUnreachable, match="no answer in 3 s"):
        world.watch(tmp_path / "memory.json").reach("https://dead/a")
    second = world.watch(tmp_path / "memory.json")
    with pytest.raises(HostUnreachable, match="a short while ago"):
        second.reach("https://dead/b")
    assert len(world.tried) == 1
    world.now += REMEMBER_SECONDS
    with pytest.raises(HostUnreachable, match="no answer in 3 s"):
        second.reach("https://dead/b")
    assert len(world.tried) == 2


def test_a_host_that_answers_is_asked_once_even_when_the_budget_is_spent(tmp_path):
    world = World()
    watch = world.watch(tmp_path / "memory.json")
    watch.reach("https://alive:8443/a")
    watch.spent = BUDGET_SECONDS
    watch.reach("https://alive:8443/b")
    assert world.tried == [("alive", 8443, CONNECT_SECONDS)]


def test_forgetting_lets_a_host_be_tried_again(tmp_path):
    world = World(refused=["down"])
    watch = world.watch(tmp_path / "memory.json")
    with pytest.raises(HostUnreachable, match="refused"):
        watch.reach("http://down/a")
    world.refused = ()
    watch.forget()
    watch.reach("http://down/a")
    assert world.watch(tmp_path / "memory.json").reach("http://down/a") is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": 1}', '{"a": [null, "x"]}'])
def test_a_damaged_memory_is_no_obstacle(tmp_path, content):
    (tmp_path / "memory.json").write_text(content)
    World().watch(tmp_path / "memory.json").reach("https://alive/a")


def test_a_memory_that_cannot_be_written_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("")
    world = World(silent=["dead"])
    with pytest.raises(HostUnreachable, match="cannot be reached"):
        world.watch(tmp_path / "file" / "memory.json").reach("https://dead/a")


def test_behind_a_proxy_the_proxy_is_what_must_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    world = World()
    world.watch(tmp_path / "memory.json").reach("https://far/a")
    assert [tried[:2] for tried in world.tried] == [("proxy", 3128)]


def test_a_closed_port_of_this_machine_is_reported_at_once():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert hosts.try_connection("127.0.0.1", port, 3.0) is None
    assert "refused" in hosts.try_connection("127.0.0.1", port, 3.0).lower()


def test_a_resolver_that_hangs_does_not_outlast_the_timeout(monkeypatch):
    forever = threading.Event()

    def hang(*args, **kwargs):
        forever.wait()
        raise OSError

    monkeypatch.setattr(hosts.socket, "create_connection", hang)
    assert hosts.try_connection("anywhere", 443, 0.05) == "no answer in 0 s"
    forever.set()
