"""Java of the tests: compiled with the compiler and the jars of the converter, and run beside its classes."""

import subprocess
from pathlib import Path

from cdc.local import system
from cdc.local.artifacts import distribution, fetch
from cdc.local.places import cache
from cdc.local.unpack import compile_java

SOURCES = Path(__file__).parent


def class_path(folder: Path) -> str:
    """Return the class path of the converter and of the tests' own classes, which are compiled into a folder."""
    fetch(["worker", "converter"], lambda _: None)
    plugin = distribution("converter").folder / "apicurio"
    (compiler,) = (cache() / "maven" / "org/eclipse/jdt/ecj").glob("*/ecj-*.jar")
    jars = [*sorted(plugin.glob("*.jar")), *sorted(distribution("worker").folder.glob("*.jar"))]
    compile_java(SOURCES, compiler, jars, folder)
    return ":".join(map(str, (folder, *jars)))


def command(classes: str, name: str, *arguments: str) -> list[str]:
    """Return the command line of a class of the tests."""
    return [system.java(), "-Xmx512m", "-cp", classes, f"cdc.connect.{name}", *arguments]


class Peer:
    """The process of ``ConverterPeer``: a command a line, an answer a line."""

    def __init__(self, classes: str) -> None:
        self._process = subprocess.Popen(
            command(classes, "ConverterPeer"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, *words: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the peer has ended with {self._process.poll()}"
        return answer.rstrip("\n")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
