import pytest

from cdc.local.maven import reason_of


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("\x1b[0m\x1b[0m[ERROR] no checksums available\n[ERROR] \n[ERROR] Re-run Maven\n", "no checksums available"),
        ("[ERROR] \n[ERROR] second\n", "second"),
        ("java: not found\n\n", "java: not found"),
        ("", "Maven said nothing"),
    ],
)
def test_a_failed_download_said_nothing_of_why(output, reason):
    assert reason_of(output) == reason
