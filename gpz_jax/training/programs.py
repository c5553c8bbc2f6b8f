"""How much memory compiled programs need, and how much there is."""

import os
from typing import Any

import jax


def peak_bytes(program: Any) -> int | None:
  """The most memory a compiled program holds at a time, by its own analysis.

  Args:
    program: What `jit(f).lower(...).compile()` gives.

  Returns:
    Bytes of arguments, results and temporaries together; None where the backend does
    not tell.
  """
  memory = program.memory_analysis()
  if memory is None:
    return None
  return (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    + memory.temp_size_in_bytes
    - memory.alias_size_in_bytes  # donated: counted among arguments and results
  )


def device_bytes() -> int:
  """Bytes that programs may take on a device; the devices of a CPU share its memory."""
  stats = jax.local_devices()[0].memory_stats() or {}
  return stats.get('bytes_limit') or host_bytes() // jax.local_device_count()


def host_bytes() -> int:
  """Bytes of physical memory of this machine."""
  return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def is_exhausted(error: Exception) -> bool:
  """Whether the device ran out of memory."""
  return 'RESOURCE_EXHAUSTED' in str(error)
