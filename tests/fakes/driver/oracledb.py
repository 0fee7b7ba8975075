"""Stands for the driver of Oracle in a process of the service: put its folder onto ``PYTHONPATH``."""

from tests.fakes.oracle import Error, FakeOracle

__all__ = ["Error", "connect"]

connect = FakeOracle.fit().connect
