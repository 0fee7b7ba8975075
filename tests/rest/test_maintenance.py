"""Maintenance on a REST catalog."""

import pytest

from tests.contract.test_maintenance import *  # noqa: F403

pytestmark = pytest.mark.campaign
