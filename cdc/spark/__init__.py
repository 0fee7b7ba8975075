"""The rules of the core compiled to Spark."""
