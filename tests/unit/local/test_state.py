import stat
import subprocess
import sys

import pytest

from cdc.core.errors import PreflightError
from cdc.local.processes import ProcessId
from cdc.local.state import State, keep_secret, locked, read_secrets, read_state, write_state


def test_what_was_written_is_read_back(tmp_path):
    state = State({"kafka": 9092}, ["postgres"], {"kafka": ProcessId(12, 3456)})
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state


def test_a_stack_that_was_never_up_has_an_empty_state(tmp_path):
    assert read_state(tmp_path) == State()


def test_passwords_are_made_once_and_are_readable_to_the_owner_only(tmp_path):
    first = read_secrets(tmp_path, ("a", "b"))
    assert read_secrets(tmp_path, ("a", "b")) == first
    assert first["a"] != first["b"]
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_new_password_leaves_the_others_as_they_are(tmp_path):
    first = read_secrets(tmp_path, ("a",))
    assert read_secrets(tmp_path, ("a", "b"))["a"] == first["a"]


def test_a_secret_in_a_file_is_kept_or_made_once_and_readable_to_the_owner_only(tmp_path):
    given, made = tmp_path / "new" / "given", tmp_path / "new" / "made"
    keep_secret(given, "one")
    keep_secret(given, "two")
    assert given.read_text() == "two"
    keep_secret(made)
    first = made.read_text()
    keep_secret(made)
    assert made.read_text() == first
    assert len(first) > 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in (given, made)} == {0o600}


def test_two_cannot_start_the_same_stack_at_once(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, "the stack"), pytest.raises(PreflightError, match="the stack"), locked(lock, "the stack"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = "import fcntl, os, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "lock"], check=False)
    with locked(tmp_path / "lock", "the stack"):
        pass
