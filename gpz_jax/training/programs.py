"""How much memory compiled programs need, and how much there is."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
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


def host_bytes(root: pathlib.Path = pathlib.Path('/')) -> int:
  """Bytes of memory that this process may take: the machine's, or a limit below it.

  Slurm and Kubernetes limit a job by control groups. The kernel kills what takes more.

  Args:
    root: Where `proc` and `sys` are looked for.
  """
  physical = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
  return min([physical, *_list_limits(root)])


def _list_limits(root: pathlib.Path) -> Iterator[int]:
  """The limits of the process's control groups and of those around them, in bytes."""
  groups = root / 'proc/self/cgroup'
  for line in groups.read_text().splitlines() if groups.exists() else ():
    _, controllers, path = line.split(':', 2)
    if not controllers:  # version 2
      mount, name = 'sys/fs/cgroup', 'memory.max'
    elif 'memory' in controllers.split(','):
      mount, name = 'sys/fs/cgroup/memory', 'memory.limit_in_bytes'
    else:
      continue
    group = pathlib.Path(path.lstrip('/'))
    for each in (group, *group.parents):
      # A container may see its own group alone. 'max' stands for no limit.
      with contextlib.suppress(OSError, ValueError):
        yield int((root / mount / each / name).read_text())


def is_exhausted(error: Exception) -> bool:
  """Whether the device ran out of memory."""
  return 'RESOURCE_EXHAUSTED' in str(error)
