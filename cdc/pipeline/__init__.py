"""Use cases, one verb per module; what they need from outside is named as Protocols."""
