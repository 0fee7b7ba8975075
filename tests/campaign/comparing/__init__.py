"""A comparison of source and lake that shares no code with cdc: neither the readers, nor the texts of values."""
