"""Debezium connectors: rendered from the configuration and kept running over the Connect REST API."""
