"""What a sweep ran on."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

import jax


def provenance() -> dict[str, Any]:
  """What a sweep ran on, for env.json: versions, device and commit; no names or paths.

  Returns:
    `versions` {package: version}, `device_kind`, `device_count`, `backend`,
    `platform`, `cpu_count`, `processors` (those that the process may use) and
    `git_commit` (None outside of a checkout).
  """
  packages = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint')
  packages += ('tensorflow-datasets', 'numpy', 'gpz_jax')
  versions = {name: importlib.metadata.version(name) for name in packages}
  devices = jax.devices()
  return {
    'versions': versions | {'python': platform.python_version()},
    'device_kind': devices[0].device_kind,
    'device_count': len(devices),
    'backend': devices[0].platform,
    'platform': f'{platform.system()} {platform.machine()}',
    'cpu_count': os.cpu_count(),
    'processors': count_processors(),
    'git_commit': _git_commit(),
  }


def count_processors() -> int:
  """How many processors this process may use."""
  if hasattr(os, 'sched_getaffinity'):  # not on macOS
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _git_commit() -> str | None:
  """The commit checked out, where this very file is under version control."""
  try:
    _run_git('ls-files', '--error-unmatch', pathlib.Path(__file__).name)
    return _run_git('rev-parse', '--verify', 'HEAD')
  except (OSError, subprocess.CalledProcessError):
    return None


def _run_git(*arguments: str) -> str:
  here = pathlib.Path(__file__).parent
  done = subprocess.run(
    ['git', *arguments], cwd=here, check=True, capture_output=True, text=True
  )
  return done.stdout.strip()
