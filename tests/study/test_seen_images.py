"""Imported weights may know the train subset: what is said, and what is compared."""

import numpy as np
import pytest
import tiny
from flax import traverse_util
from PIL import Image
from safetensors.numpy import save_file

from gpz_jax import models, sweep
from gpz_jax.study import target_quality
from gpz_jax.sweep.runner import opened
from gpz_jax.types import InputError

SEEN = 'of the train subset of'
PUBLIC = 'portraits/public32_6x6'


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  """A file with weights of the smallest CNN, for two classes."""
  model = models.make('cnn', num_classes=2, width=0.0625)
  variables = tiny.random_variables(model, np.zeros((1, 16, 16, 3), np.float32))
  path = tmp_path_factory.mktemp('weights') / 'cnn.safetensors'
  flat = traverse_util.flatten_dict(variables, sep='/')
  save_file({name: np.asarray(leaf) for name, leaf in flat.items()}, path)
  return str(path)


@pytest.fixture
def config(weights, tmp_path):
  """A function of the subsets of a folder: a sweep of imported weights on it."""

  def make(*subsets, **changes):
    rng = np.random.default_rng(0)
    for name in subsets:
      for label in 'ab':
        folder = tmp_path / 'images' / name / label
        folder.mkdir(parents=True)
        for i in range(20):
          pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
          Image.fromarray(pixels).save(folder / f'{i}.png')
    given = {'dataset': f'folder:{tmp_path / "images"}', 'target_weights': weights}
    return tiny.sweep_config(tmp_path / 'run', **given | changes)

  return make


def quality(*, val: float, test: float) -> dict[str, np.ndarray]:
  found = {'val': [val], 'test': [test], 'is_finite': [True], 'skips_final': ['']}
  return {name: np.array(values) for name, values in found.items()}


def test_what_weights_may_have_seen_is_printed(config, capfd):
  with opened(config('train', 'test'), quiet=False):
    pass
  (line,) = [line for line in capfd.readouterr().out.splitlines() if SEEN in line]
  assert 'val and aux are shares of' in line
  assert 'attacks may look better than on fresh ones' in line


@pytest.mark.parametrize(
  ('subsets', 'changes', 'shares'),
  [
    (('train', 'test'), {}, 'val and aux are shares of'),
    (('train', 'test', 'validation'), {}, 'aux is a share of'),
    (('',), {'test_share': 0.2}, 'val, test and aux are shares of'),
    (('train', 'validation'), {}, 'val and aux are shares of'),  # validation is test
    (('train', 'test'), {'aux_dataset': PUBLIC}, 'val is a share of'),
    (('train', 'test', 'validation'), {'aux_dataset': PUBLIC}, None),
    (('train', 'test'), {'finetune': True}, None),
  ],
)
def test_it_names_the_subsets_that_are_shares_of_train(
  config, subsets, changes, shares
):
  notes = sweep.make_plan(config(*subsets, **changes)).task.notes
  found = [note for note in notes if SEEN in note]
  assert len(found) == (shares is not None)
  assert all(note.startswith(shares) for note in found)


def test_expect_accuracy_is_that_of_test_images_which_were_never_trained_on(config):
  with opened(config('train', 'test', expect_accuracy=0.93), quiet=True) as session:
    target_quality.check(session, quality(val=0.5, test=0.92))
    with pytest.raises(
      InputError, match=r'0\.850 on test, not --expect_accuracy=0\.93'
    ):
      target_quality.check(session, quality(val=1.0, test=0.85))


def test_expect_accuracy_is_that_of_val_where_test_is_a_share_of_train(config):
  given = config('', test_share=0.2, expect_accuracy=0.93)
  with opened(given, quiet=True) as session:
    target_quality.check(session, quality(val=0.92, test=0.5))
    with pytest.raises(InputError, match=r'0\.850 on val, not --expect_accuracy=0\.93'):
      target_quality.check(session, quality(val=0.85, test=1.0))
