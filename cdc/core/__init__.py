"""Pure rules of change data capture: standard library only, no I/O."""
