"""The Avro converter beside Apicurio's rules: the same schemas, the same bytes, the same values read back."""

import os
import random
import re
import subprocess

import pytest

from tests.jvm import class_path, command

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return class_path(tmp_path_factory.mktemp("classes"))


def test_random_schemas_and_values_are_written_as_apicurio_writes_them(classes):
    """Schemas equal to the letter, bytes equal but for the order of maps, and equal again when read back."""
    seed = int(os.getenv("CDC_TEST_SEED") or random.randrange(10**9))
    print(f"CDC_TEST_SEED={seed}")
    result = subprocess.run(
        command(classes, "EqualToApicurio", str(seed), "500"), check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    found = re.fullmatch(r"equal (\d+) (\d+)\n", result.stdout)
    assert found, result.stdout
    written, by_decoding = map(int, found.groups())
    assert written > 1000
    assert by_decoding < written / 10
