import socket
import threading

import pytest

from cdc.local.ports import LOOPBACK, answers, choose, is_free, still_taken


@pytest.fixture
def listening():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(listening):
    assert not is_free(listening)
    assert answers(listening)


def test_a_port_listened_on_by_all_interfaces_is_not_free():
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_a_closed_port_is_free_and_does_not_answer():
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        port = server.getsockname()[1]
    assert is_free(port)
    assert not answers(port)


def test_a_port_that_somebody_keeps_is_taken(listening):
    assert still_taken({"kafka": listening}, seconds=0.1) == ["kafka"]


def test_the_port_of_a_server_killed_a_moment_ago_counted_as_taken_by_another():
    server = socket.socket()
    server.bind((LOOPBACK, 0))
    server.listen()
    closing = threading.Timer(0.3, server.close)
    closing.start()
    assert still_taken({"registry": server.getsockname()[1]}, seconds=10) == []
    closing.join()


def test_the_kept_port_wins_even_if_it_is_in_use(listening):
    assert choose({"kafka": 9092}, {"kafka": listening}) == {"kafka": listening}


def test_ports_of_other_stacks_are_not_chosen():
    first = choose({"kafka": 20001}, {})["kafka"]
    assert choose({"kafka": 20001}, {}, {first})["kafka"] != first


def test_two_servers_never_get_the_same_port():
    chosen = choose({"a": 20002, "b": 20002, "c": 20102}, {})
    assert len(set(chosen.values())) == 3
