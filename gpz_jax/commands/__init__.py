"""The commands: flags and wiring only."""

import logging

# matplotlib tells at length of a HOME that it cannot write, and goes on without it. It
# does so when it is imported, before any command runs.
logging.getLogger('matplotlib').setLevel(logging.ERROR)
