"""Random actions against a source and its service, with comparisons by a reader that shares no code with cdc."""
