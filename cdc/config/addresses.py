"""Addresses as the configuration writes them: what can be wrong with one is told before anything is asked there."""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
DATABASES = ("postgresql", "mysql", "mariadb")


def host_name(text: str | None) -> str | None:
    """Return a host's name or address, or that there is none; raises ValueError if it is more than that."""
    if text is not None and not _is_host(text):
        raise ValueError("must be the name or address of a host alone, without a scheme, port or path")
    return text


def brokers(text: str) -> str:
    """Return a list of brokers, ``host:port`` with commas; raises ValueError naming the first that is none."""
    for number, one in enumerate(text.split(","), 1):
        name, _, port = one.strip().rpartition(":")
        if not _is_host(name) or not _is_port(port):
            raise ValueError(f"must be host:port, with commas between brokers; number {number} is not")
    return text


def web_address(text: str | None) -> str | None:
    """Return an address of http or https, or that there is none; raises ValueError for others, and credentials."""
    if text is None:
        return None
    if _split(text).scheme not in ("http", "https"):
        raise ValueError("must be an address that begins with http:// or https://")
    return _plain(text)


def confluent_address(text: str | None) -> str | None:
    """Return an address of Confluent's API, or that there is none; raises ValueError as `web_address` does.

    Apicurio's own API, which an earlier converter spoke, has the other one beside it.
    """
    address = web_address(text)
    return None if address is None else re.sub(r"/apis/registry/v\d+/*$", "/apis/ccompat/v7", address)


def thrift_address(text: str) -> str:
    """Return addresses of a Hive Metastore, with commas; raises ValueError if one is none."""
    for one in text.split(","):
        if _split(one).scheme != "thrift":
            raise ValueError("must be an address that begins with thrift://")
        _plain(one)
    return text


def jdbc_address(text: str) -> str:
    """Return the JDBC address of a database that a catalog can be in; raises ValueError if it is none."""
    address = _split(text.removeprefix("jdbc:"))
    if not text.startswith("jdbc:") or address.scheme not in DATABASES or not address.path.strip("/"):
        raise ValueError("must be jdbc:postgresql://host:port/database, or mysql in the place of postgresql")
    if re.search(r"(?:^|&)(?:password|user)=", address.query, re.IGNORECASE):
        raise ValueError("holds credentials; write username and password beside it, the password by reference")
    _plain(text.removeprefix("jdbc:"))
    return text


def _plain(text: str) -> str:
    address = _split(text)
    if address.username is not None or address.password is not None:
        raise ValueError("holds credentials; write them beside it, by reference")
    if not address.hostname or not _is_host(address.hostname) or re.search(r"\s", text):
        raise ValueError("names no host")
    return text


def _split(text: str) -> SplitResult:
    try:
        address = urlsplit(text.strip())
        _ = address.port  # raises for one that is no number, or out of range
    except ValueError:
        raise ValueError("must be an address with a port from 1 to 65535, or without one") from None
    return address


def _is_host(text: str) -> bool:
    try:
        return bool(_NAME.fullmatch(text)) or IPv6Address(text.strip("[]")).version == 6
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 65535
