"""Kafka topics and offsets, and the schema registry."""
