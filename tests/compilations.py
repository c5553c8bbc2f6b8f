"""Counts what JAX compiles."""

import collections
import contextlib
from collections.abc import Iterator

from jax import monitoring


@contextlib.contextmanager
def counted() -> Iterator[collections.Counter[str]]:
  """How often a program is compiled meanwhile, by its name, such as `jit(segment)`."""
  found: collections.Counter[str] = collections.Counter()

  def note(event: str, duration_secs: float, **kwargs: str | int) -> None:
    del duration_secs
    if event == '/jax/core/compile/backend_compile_duration':
      found[str(kwargs['fun_name'])] += 1

  monitoring.register_event_duration_secs_listener(note)
  try:
    yield found
  finally:
    monitoring.unregister_event_duration_listener(note)
