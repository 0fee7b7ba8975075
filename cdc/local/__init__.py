"""The embedded stack: databases, Kafka, registry and Connect as child processes."""
