"""Iceberg: catalog, tables, commits, lease, status and quarantine."""
