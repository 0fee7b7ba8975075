"""What is asked of a source database, one module per engine."""
