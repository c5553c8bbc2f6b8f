"""The import rules: imports only go down, and what is slow and rare comes late."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Each module or package on a floor of its own, the lowest first.
FLOORS = (
  'vocabulary',
  'types',
  'means',
  'intervals',
  'estimates',
  'atomic',
  'filenames',
  'own',
  'option_text',
  'skip_text',
  'interruption',
  'jaxpr_costs',
  'metrics',
  'data',
  'models',
  'splits',
  'partition',
  'training',
  'interop',
  'defences',
  'treatments',
  'label_smoothing',
  'classification',
  'targets',
  'generators',
  'attacks',
  'evaluators',
  'theory',
  'checkpoints',
  'results',
  'zone',
  'tradeoff',
  'threats',
  'study',
  'report',
  'sweep',
  'model_inversion',
  'launching',
  'commands',
  '__main__',
)
LEVELS = {name: level for level, name in enumerate(FLOORS)}
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
    is_flags = name.startswith('absl.flags') and module != 'commands'
    is_outward = package == 'experiments' or is_flags
    child = rest.partition('.')[0] if package == 'gpz_jax' else ''
    # A package may import itself; the face of gpz_jax holds the version alone.
    is_downward = child in ('', module, '__version__') or (
      LEVELS.get(child, len(FLOORS)) < LEVELS[module]
    )
    if is_outward or not is_downward:
      found.append(name)
  return found


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lower_never_imports_higher(path):
  module = path.relative_to(ROOT / 'gpz_jax').with_suffix('').parts[0]
  if module == '__init__':
    return  # the package itself imports nothing
  assert module in LEVELS, f'give {module} a floor'
  assert violations(module, imported(path)) == []


def test_two_packages_are_never_on_one_floor():
  assert len(set(FLOORS)) == len(FLOORS)
  assert violations('zone', {'gpz_jax.study.workdir'}) == ['gpz_jax.study.workdir']
  assert violations('zone', {'gpz_jax.unknown.thing'}) == ['gpz_jax.unknown.thing']


def test_an_upward_import_is_found():
  assert violations('metrics', {'gpz_jax.sweep.runner', 'gpz_jax.types.Task'}) == [
    'gpz_jax.sweep.runner'
  ]
  assert violations('sweep', {'absl.flags', 'experiments.sweep'}) == [
    'absl.flags',
    'experiments.sweep',
  ]
  assert violations('commands', {'absl.flags', 'experiments.sweep'}) == [
    'experiments.sweep',
  ]


def test_what_is_slow_to_import_and_seldom_needed_is_imported_late():
  late = ('torch', 'sklearn', 'scipy.stats', 'tensorflow')
  ask = f"""import sys
import gpz_jax.sweep.runner, gpz_jax.model_inversion.runner
print(sys.modules.keys() & {set(late)})"""
  done = subprocess.run([sys.executable, '-c', ask], capture_output=True, text=True)
  assert (done.stdout.strip(), done.returncode) == ('set()', 0), done.stderr
