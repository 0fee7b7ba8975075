"""The page of proofs: nothing in it comes from elsewhere, and no name or value is more than a text."""

import os
import re
import stat
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.cli.proof_page import page, require_writable, write_page
from cdc.core.errors import ConfigError
from cdc.core.fingerprint import joined
from cdc.core.proof import Difference, Kind, TableProof

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "</title></style><script src=//evil.example/x.js></script>",
            "' onmouseover='alert(1)",
            "<!--",
            "]]>",
            "&lt;b&gt; &amp;amp;",
            "\0\x1b[31m\r\n",
            "\u202egnp.exe",
            "\ud800",
            "{{7*7}}",
        ]
    ),
    st.text(st.characters(exclude_categories=())),
)
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section"),
    *("table", "tr", "th", "td", "code"),
}


class Read(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.others: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def proof(name: str = "ns.t", text: str = "x", **more: object) -> TableProof:
    found = Difference(joined([text, None]), Kind.DIFFERENT, (name,), {name: text}, {name: None})
    kept = {"position": "0/1", "rows": 12345, "read": 23456, "seconds": 1.25, "differences": (found,)} | more
    return TableProof(f"lake:{name}", name, **kept)  # type: ignore[arg-type]


def plain(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


@given(HOSTILE, HOSTILE)
def test_no_name_or_value_is_more_than_a_text(name: str, text: str) -> None:
    proofs = [
        (AT, proof(name, text, one_sided=(name,), apart=(name,), by_value=(name,), where=text, held=text)),
        (AT, TableProof(name, name, error=text)),
    ]
    harmless = Read(page([(AT, proof(one_sided=("x",), apart=("x",), by_value=("x",), where="x", held="x")),
                          (AT, TableProof("a", "b", error="x"))], show_values=True))  # fmt: skip
    made = page(proofs, show_values=True)
    read = Read(made)
    empty = [not text, not name]
    if not any(empty):
        assert read.elements == harmless.elements
    assert {tag for tag, _ in read.elements} <= ELEMENTS
    assert read.others == []
    shown = "".join(read.texts)
    for one in (name, text):
        assert plain(one) in shown
    assert made.encode().decode() == made
    assert all(character.isprintable() or character == "\n" for character in made)


def test_the_page_needs_nothing_else_and_is_readable_in_every_light() -> None:
    """Verdicts are words, colours are those of the reader, and a browser is told to load nothing."""
    text = page([(AT, proof())], show_values=True)
    read = Read(text)
    assert not [name for _, attributes in read.elements for name in attributes if name in {"src", "href", "style"}]
    assert "script" not in text
    assert not re.search(r"url\(|@import|https?:|//", text)
    assert "default-src 'none'" in text
    assert "color-scheme: light dark" in text
    assert not re.search(r"#[0-9a-f]{3,6}\b|rgb|background", text)


def test_everything_of_a_proof_is_there() -> None:
    text = "\n".join(Read(page([(AT, proof())], show_values=False)).texts)
    for told in (
        "DIFFERS: ns.t",
        "lake:ns.t",
        "2026-01-02 03:04:05 UTC",
        "0/1",
        "12,345",
        "23,456",
        "1.2",
        "1 different",
    ):
        assert told in text, told
    assert "0 of 1 tables are equal" in text


def test_an_equal_table_says_up_to_which_position() -> None:
    equal = TableProof("shop:public.t", "ns.t", position="0/1ABC", rows=3, where="n > 1", unsettled=2)
    text = "\n".join(Read(page([(AT, equal)], show_values=True)).texts)
    for told in ("1 of 1 tables are equal", "equal: ns.t", "every change up to 0/1ABC", "n > 1", "looked at: 2"):
        assert told in text, told


def test_keys_and_values_are_there_only_if_they_are_asked_for() -> None:
    one = proof(text="secret-7c1f")
    assert "secret-7c1f" not in page([(AT, one)], show_values=False)
    assert "secret-7c1f" in page([(AT, one)], show_values=True)


def test_the_file_is_private_and_there_as_a_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "proofs.html"
    path.write_text("before")
    path.chmod(0o644)
    write_page(path, "after")
    assert path.read_text() == "after"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def full(_number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left") as caught:
        write_page(path, "never")
    assert caught.value.hint
    assert path.read_text() == "after"
    assert [one.name for one in tmp_path.iterdir()] == ["proofs.html"]


def test_a_page_that_cannot_be_written_is_told_of_before_anything_is_proved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there, or not writable"):
        require_writable(tmp_path / "missing" / "x.html")
    with pytest.raises(ConfigError, match="is a folder"):
        require_writable(tmp_path)
    require_writable(tmp_path / "x.html")
