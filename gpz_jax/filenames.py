"""Safe names of files and folders, made from text that comes from elsewhere."""

import os
import pathlib
import re

from gpz_jax.types import stable_hash

LONGEST = 120  # bytes; file systems take 255, and others add endings of their own
_STRANGE = re.compile(r'[^A-Za-z0-9_.=-]')


def safe(text: str) -> str:
  """A name for `text` within one folder, as readable as it can be.

  Plain text is its own name. In any other text each strange character becomes a dot,
  and a hash of the whole text follows. So two texts do not share a name, and no name
  leads out of the folder.

  Args:
    text: Any text.

  Returns:
    Letters, digits and `_.=-`, at most LONGEST of them, no dot first.
  """
  if text and len(text) <= LONGEST and text[0] != '.' and not _STRANGE.search(text):
    return text
  end = f'-{stable_hash(text):08x}'
  plain = _STRANGE.sub('.', text).lstrip('.')
  return f'{plain[: LONGEST - len(end)]}{end}'


def user_cache() -> pathlib.Path:
  """The user's cache folder for this package: $XDG_CACHE_HOME/gpz_jax.

  Raises:
    RuntimeError: The variable is not set, and the user has no home folder.
  """
  root = os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache'
  return pathlib.Path(root) / 'gpz_jax'
