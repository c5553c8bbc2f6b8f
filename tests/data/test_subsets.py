import numpy as np
import pytest

from gpz_jax import types
from gpz_jax.data import subsets


def divide(num_examples, *, test_share=0.0, aux_share=0.2, val_share=0.05, seed=0):
  return subsets.divide(
    num_examples,
    test_share=test_share,
    aux_share=aux_share,
    val_share=val_share,
    seed=seed,
  )


def sizes(parts):
  return {name: len(part) for name, part in parts.items()}


def test_cifar_proportions():
  # docs/paper.md#data: of 50,000 10,000 aux and 40,000 train, 5% of these val.
  assert sizes(divide(50_000)) == {'train': 38_000, 'val': 2_000, 'aux': 10_000}


def test_without_official_test():
  # docs/paper.md#data: 66.6 / 16.7 / 16.7 % train and val / test / aux.
  assert sizes(divide(60_000, test_share=subsets.TEST_SHARE)) == {
    'train': 38_000,
    'val': 2_000,
    'test': 10_000,
    'aux': 10_000,
  }


def test_kuzushiji49_proportions():
  # docs/paper.md#data: 70 / 15 / 15 % of 270,912: 189,638 / 40,637 / 40,637.
  parts = divide(270_912, test_share=0.15, aux_share=0.15 / 0.85, val_share=0.0)
  assert sizes(parts) == {'train': 189_638, 'val': 0, 'test': 40_637, 'aux': 40_637}


def test_facescrub_proportions():
  # docs/paper.md#data: 80 / 20 %; the copy of 44,139 faces.
  parts = divide(44_139, test_share=0.2, aux_share=0.0, val_share=0.0)
  assert sizes(parts) == {'train': 35_311, 'val': 0, 'test': 8_828, 'aux': 0}


@pytest.mark.parametrize('test_share', [0.0, 0.2])
@pytest.mark.parametrize('num_examples', [4, 5, 17, 1000])
def test_parts_are_disjoint_and_cover_everything(num_examples, test_share):
  parts = divide(num_examples, test_share=test_share)
  assert min(sizes(parts).values()) >= 1
  together = np.concatenate(list(parts.values()))
  np.testing.assert_array_equal(np.sort(together), np.arange(num_examples))


def test_aux_is_the_last_part_of_one_permutation():
  # So a larger share takes more of the same examples.
  small, large = divide(100, aux_share=0.2)['aux'], divide(100, aux_share=0.4)['aux']
  np.testing.assert_array_equal(small, large[-20:])


def test_seed_decides():
  np.testing.assert_array_equal(divide(100, seed=1)['aux'], divide(100, seed=1)['aux'])
  assert (divide(100, seed=1)['aux'] != divide(100, seed=2)['aux']).any()


def test_val_can_be_none():
  assert sizes(divide(100, val_share=0.0)) == {'train': 80, 'val': 0, 'aux': 20}


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'aux_share': 1.0}, r'aux_share 1.0 is not in \[0, 1\)'),
    ({'val_share': -0.1}, r'val_share -0.1 is not in \[0, 1\)'),
  ],
)
def test_bad_share(options, message):
  with pytest.raises(types.InputError, match=message):
    divide(100, **options)


def test_too_few_examples():
  with pytest.raises(types.InputError, match='2 training examples are too few'):
    divide(2)


def test_shuffled_is_a_permutation_by_seed():
  np.testing.assert_array_equal(np.sort(subsets.shuffled(50, 0)), np.arange(50))
  assert (subsets.shuffled(50, 0) != subsets.shuffled(50, 1)).any()
