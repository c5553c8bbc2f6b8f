"""Names of files and folders made from names that come from data or foreign modules."""

import re

from gpz_jax.types import stable_hash

LONGEST = 120  # bytes; file systems take 255, and others add endings of their own
_STRANGE = re.compile(r'[^A-Za-z0-9_.=-]')


def safe(text: str) -> str:
  """A name for `text` within one folder, readable where it can be.

  Plain text is its own name. Of any other each strange character becomes a dot and a
  hash of the whole follows, so that two texts do not get one name and none leads out
  of the folder.

  Args:
    text: anything.

  Returns:
    Letters, digits and `_.=-`, at most LONGEST of them, no dot first.
  """
  if text and len(text) <= LONGEST and text[0] != '.' and not _STRANGE.search(text):
    return text
  end = f'-{stable_hash(text):08x}'
  plain = _STRANGE.sub('.', text).lstrip('.')
  return f'{plain[: LONGEST - len(end)]}{end}'
