"""The import rule: lower never imports higher, and the library knows no flags."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LEVELS = {
  'types': 0,
  'atomic': 0,
  'filenames': 0,
  'intervals': 0,
  'own': 0,
  'interruption': 0,
  'jaxpr_costs': 1,
  'metrics': 1,
  'data': 1,
  'models': 1,
  'partition': 2,
  'training': 2,
  'interop': 2,
  'targets': 3,
  'attacks': 3,
  'defences': 3,
  'theory': 3,
  'zone': 4,
  'checkpoints': 4,
  'results': 4,
  'report': 5,
  'study': 5,
  'sweep': 5,
}
FILES = sorted((ROOT / 'gpz_jax').rglob('*.py'))


def imported(path: pathlib.Path) -> set[str]:
  """Every module a file imports, as dotted names."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


def violations(module: str, names: set[str]) -> list[str]:
  """The imports of `gpz_jax.<module>` that go upward or outward."""
  found = []
  for name in sorted(names):
    package, _, rest = name.partition('.')
    is_outward = package == 'experiments' or name.startswith('absl.flags')
    child = rest.partition('.')[0] if package == 'gpz_jax' else ''
    if is_outward or LEVELS.get(child, 0) > LEVELS[module]:
      found.append(name)
  return found


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lower_never_imports_higher(path):
  module = path.relative_to(ROOT / 'gpz_jax').with_suffix('').parts[0]
  if module == '__init__':
    return  # the package itself imports nothing
  assert module in LEVELS, f'give {module} a level'
  assert violations(module, imported(path)) == []


def test_an_upward_import_is_found():
  assert violations('metrics', {'gpz_jax.sweep.run', 'gpz_jax.types.Mean'}) == [
    'gpz_jax.sweep.run'
  ]
  assert violations('sweep', {'absl.flags', 'experiments.sweep'}) == [
    'absl.flags',
    'experiments.sweep',
  ]
