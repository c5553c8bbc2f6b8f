"""Nothing that is loaded can run code: a reader that could may not be called at all."""

import ast
import json
import pathlib
import sys
from collections.abc import Iterator

import pytest

from gpz_jax.data.sources import prepared

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted((ROOT / 'gpz_jax').rglob('*.py'))
FILES += sorted((ROOT / 'experiments').rglob('*.py'))
# Their readers run what they read. An error's name may be taken, to refuse a file.
MODULES = ('pickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal', 'yaml')
HARMLESS = ('pickle.UnpicklingError',)
FUNCTIONS = ('eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen')
METHODS = ('read_pickle', 'unsafe_load', 'import_module')
# What must be told in so many words not to unpickle.
MUST_SAY = {
  'np.load': 'allow_pickle=False',
  'np.lib.format.read_array': 'allow_pickle=False',
  'np.save': 'allow_pickle=False',
  'torch.load': 'weights_only=True',
}
MUST_NOT_SAY = ('allow_pickle=True', 'weights_only=False', 'shell=True')
# --model and --attack=package.module:factory are programs of the user's own choice.
EXCEPTIONS = {
  'gpz_jax/own.py': ['importlib.import_module'],
  # Manifests are written and never read.
  'gpz_jax/launching/kubernetes.py': ['yaml.safe_dump', 'yaml.safe_dump'],
}


def dangers(source: str) -> list[str]:
  """What in a program could run what it reads."""
  found = []
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.ImportFrom):
      names = [f'{node.module}.{alias.name}' for alias in node.names]
      found += [name for name in names if _is_banned(name)]
    elif isinstance(node, ast.Attribute) and _is_banned(ast.unparse(node)):
      found.append(ast.unparse(node))
    elif isinstance(node, ast.Call):
      found += _dangers_of_call(node)
  return found


def _is_banned(name: str) -> bool:
  module, _, last = name.rpartition('.')
  is_reader = module.partition('.')[0] in MODULES and name not in HARMLESS
  return is_reader or last in METHODS


def _dangers_of_call(node: ast.Call) -> Iterator[str]:
  name = ast.unparse(node.func)
  said = [f'{word.arg}={ast.unparse(word.value)}' for word in node.keywords]
  if name in FUNCTIONS:
    yield name
  if name in MUST_SAY and MUST_SAY[name] not in said:
    yield f'{name} without {MUST_SAY[name]}'
  yield from (f'{name} with {word}' for word in said if word in MUST_NOT_SAY)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_of_ours_can_run_what_it_reads(path):
  allowed = EXCEPTIONS.get(path.relative_to(ROOT).as_posix(), [])
  assert dangers(path.read_text(encoding='utf-8')) == allowed


@pytest.mark.parametrize(
  'source',
  [
    'np.load(path)',
    'np.load(path, allow_pickle=True)',
    'np.lib.format.read_array(file)',
    'torch.load(path)',
    'torch.load(path, weights_only=False)',
    'reader(path, allow_pickle=True)',
    'from dill import load',
    'from pickle import load',
    'import pickle\npickle.loads(data)',
    'import yaml\nyaml.load(text)',
    'eval(text)',
    'exec(text)',
    'os.system(text)',
    'subprocess.run(text, shell=True)',
    'pd.read_pickle(path)',
    'importlib.import_module(name)',
  ],
)
def test_what_could_run_code_is_found(source):
  assert dangers(source)


@pytest.mark.parametrize(
  'source',
  [
    'import pickle\ntry: pass\nexcept pickle.UnpicklingError: pass',
    'np.load(path, allow_pickle=False)',
    'torch.load(path, weights_only=True)',
    'ast.literal_eval(text); re.compile(text); model.eval()',
  ],
)
def test_what_could_not_is_no_alarm(source):
  assert not dangers(source)


@pytest.fixture
def marking(tmp_path, monkeypatch):
  """A module that leaves a mark when it is imported; gives the mark's path."""
  mark = tmp_path / 'mark'
  (tmp_path / 'leaves_mark.py').write_text(f'open({str(mark)!r}, "w").close()')
  monkeypatch.syspath_prepend(str(tmp_path))
  yield mark
  sys.modules.pop('leaves_mark', None)


def test_the_module_leaves_its_mark(marking):
  pytest.importorskip('leaves_mark')
  assert marking.exists()


BAD = 'leaves_mark.X'
FEATURES = {
  'top': {'pythonClassName': BAD, 'featuresDict': {}},
  'other_spelling': {'python_class_name': BAD, 'featuresDict': {}},
  'legacy': {'type': BAD, 'content': {}},
  'legacy_proto': {'type': 'x', 'proto_cls': BAD, 'content': {}},
  'in_a_string': {'jsonFeature': {'json': json.dumps({'type': BAD, 'content': {}})}},
}


@pytest.mark.parametrize('kind', FEATURES)
@pytest.mark.parametrize('nested', [False, True])
def test_features_of_a_folder_import_nothing(kind, nested, folder, marking, refused):
  path = folder / 'features.json'
  features = json.loads(path.read_text())
  if nested:
    features['featuresDict']['features']['label'] = FEATURES[kind]
  else:
    features = FEATURES[kind]
  path.write_text(json.dumps(features))
  message = refused(prepared.open_source, 'shapes/2_low', folder)
  assert str(path) in message
  assert 'names the feature class' in message
  assert not marking.exists()


@pytest.mark.parametrize('key', ['moduleName', 'name', 'configName', 'fileFormat'])
def test_names_in_the_info_import_nothing(key, folder, marking, refused):
  path = folder / 'dataset_info.json'
  path.write_text(json.dumps(json.loads(path.read_text()) | {key: 'leaves_mark'}))
  refused(lambda: list(prepared.open_source('shapes/2_low', folder).read('test')))
  assert not marking.exists()
