"""The examples of docs/extending.md run outside of the package, as they stand."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'extending.md'
FILE = re.compile(r'# ([\w/]+\.py)\n')
NEEDS = re.compile(r'# needs (\w+)\n')


def blocks() -> list[str]:
  """The Python blocks of the page, in their order."""
  text = PAGE.read_text(encoding='utf-8')
  return re.findall(r'^```python\n(.*?)^```', text, re.DOTALL | re.MULTILINE)


def test_the_page_has_examples_of_each_kind():
  found = blocks()
  assert sum(FILE.match(block) is not None for block in found) == 8
  assert sum(block.count('assert ') for block in found) >= 25


@pytest.mark.ci
def test_the_examples_run(tmp_path):
  script = []
  for block in blocks():
    needs = NEEDS.match(block)
    if named := FILE.match(block):
      path = tmp_path / named[1]
      path.parent.mkdir(exist_ok=True)
      path.write_text(block, encoding='utf-8')
    elif not needs or importlib.util.find_spec(needs[1]):
      script.append(block)
  (tmp_path / 'page.py').write_text('\n'.join(script), encoding='utf-8')
  done = subprocess.run(
    [sys.executable, 'page.py'],
    cwd=tmp_path,
    env=os.environ | {'PYTHONPATH': str(ROOT), 'XDG_CACHE_HOME': str(tmp_path)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
