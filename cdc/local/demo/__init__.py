"""The demo: a small shop in both databases, a live workload against it and the terminal's live table."""
