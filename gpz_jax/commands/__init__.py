"""The commands: flags and wiring only."""
