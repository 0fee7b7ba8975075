"""Folders that nobody else may look into."""

from pathlib import Path

from cdc.lake.folders import make_private


def test_keys_of_tables_cannot_be_read_by_other_users(tmp_path: Path) -> None:
    """Nor may the names of folders above them, where these are made along the way; what was there is left alone."""
    tmp_path.chmod(0o755)
    make_private(tmp_path / "index" / "lake" / "shop.orders")
    make_private(tmp_path / "index" / "lake" / "shop.orders")
    made = [tmp_path / "index", tmp_path / "index" / "lake", tmp_path / "index" / "lake" / "shop.orders"]
    assert [oct(one.stat().st_mode & 0o777) for one in made] == ["0o700"] * 3
    assert tmp_path.stat().st_mode & 0o777 == 0o755
