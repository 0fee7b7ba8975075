"""Fixtures for every test."""

from tests.stack import mysql_stack, second_stack, stack

__all__ = ["mysql_stack", "second_stack", "stack"]
