"""Iceberg table properties that a table would be made with and that could not work, or that are the service's own."""

_ONE_OF = {
    "format-version": ("2", "3"),
    "write.format.default": ("parquet", "orc", "avro"),
    "write.merge.mode": ("copy-on-write", "merge-on-read"),
    "write.update.mode": ("copy-on-write", "merge-on-read"),
    "write.delete.mode": ("copy-on-write", "merge-on-read"),
    "write.merge.distribution-mode": ("none", "hash", "range"),
    "write.merge.isolation-level": ("snapshot", "serializable"),
    "write.metadata.delete-after-commit.enabled": ("true", "false"),
    "write.object-storage.enabled": ("true", "false"),
    "write.parquet.compression-codec": ("zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed"),
}
_NUMBERS = ("-bytes", "-max", "-ms", "-records", "-num-retries")


def problem_of(name: str, value: str) -> str:
    """Return what is wrong with a property, nothing if it is not known to be wrong; for some value no table is made."""
    if not name.strip() or name != name.strip():
        return f"property {name!r} has no proper name"
    if name.startswith("cdc."):
        return f"property {name!r} is the service's own: names that begin with cdc. are reserved"
    if name in _ONE_OF and value.lower() not in _ONE_OF[name]:
        return f"property {name!r} must be one of {', '.join(_ONE_OF[name])}"
    if name.startswith(("write.", "commit.", "history.", "read.")) and name.endswith(_NUMBERS) and not value.isdigit():
        return f"property {name!r} must be a whole number"
    return ""
