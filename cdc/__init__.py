"""Log-based change data capture from Debezium topics into Apache Iceberg tables."""
