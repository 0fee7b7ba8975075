import io

import pytest
from rich.console import Console

from cdc.local.growth import growth_shown, size


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "jar.part").write_bytes(b"12345")
    (tmp_path / "pom").write_bytes(b"678")
    assert size(tmp_path) == 8
    assert size(tmp_path / "not there") == 0


@pytest.mark.parametrize(("terminal", "shown"), [(True, True), (False, False)])
def test_a_bar_is_shown_on_terminals_alone(tmp_path, terminal, shown):
    out = io.StringIO()
    with growth_shown(tmp_path, 10, Console(file=out, force_terminal=terminal)):
        (tmp_path / "jar").write_bytes(b"0" * 100)
    assert ("10.0 MB" in out.getvalue()) is shown


def test_a_failed_download_ends_the_bar(tmp_path):
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(RuntimeError, match="away"), growth_shown(tmp_path, 10, console):
        raise RuntimeError("away")
