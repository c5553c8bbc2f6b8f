"""Votes, their agreement and their uncertainty, on made-up rows; values by hand."""

import math

import numpy as np
import pytest
from made_up import make_rows, make_theory

from gpz_jax import zone
from gpz_jax.types import InputError, Treatment

ERRORS = [0.01, 0.012, 0.05, 0.06]  # jumps at c
SHARE = [0.9, 0.8, 0.4, 0.35]  # drops at c, by half


def make_entropy(inside, total, *, dims=8.0, **changes):
  """What the entropy vote is made of, in activations of `dims` dimensions."""
  return [
    *make_theory(inside, quantity='entropy_class_logdet', **changes),
    *make_theory(total, quantity='entropy_logdet', **changes),
    *make_theory([dims * 0.3] * len(inside), quantity='radius', **changes),
    *make_theory([0.3] * len(inside), quantity='radius_per_dim', **changes),
  ]


def test_three_votes_that_agree():
  theory = [*make_theory(SHARE), *make_entropy([8, 4, -16, -16], [8, 8, 8, 4])]
  found = zone.vote(make_rows(ERRORS), theory).treatments[0]
  assert [found.by(voter).split for voter in ('attack', 'radius_share', 'entropy')] == [
    'c',
    'c',
    'c',
  ]
  assert found.apart == 0
  assert found.by('attack').size == pytest.approx(0.05 / 0.012)
  assert found.by('radius_share').size == pytest.approx(0.5)
  # (class - total) / D is 0, -0.5, -3, -2.5
  assert found.by('entropy').size == pytest.approx(2.5)
  assert found.sentence() == (
    'alpha 0: the zone begins at c by the attack, the radius share and the entropy '
    'bound: they agree.'
  )


def test_a_target_that_diverged_has_no_part_in_the_votes():
  rows = [*make_rows(ERRORS), *make_rows(ERRORS, seed=1)]
  rows[4:] = [row | {'status': 'diverged'} for row in rows[4:]]
  theory = [*make_theory(SHARE), *make_theory([0.99, 0.2, 0.19, 0.19], seed=1)]
  vote = zone.vote(rows, theory).treatments[0].by('radius_share')
  assert (vote.split, vote.seeds) == ('c', 1)
  (none,) = zone.vote(rows, theory[4:]).treatments
  assert [vote.voter for vote in none.votes] == ['attack']
  # one decoder that diverged says nothing of the target
  rows[4]['status'] = 'done'
  vote = zone.vote(rows, theory).treatments[0].by('radius_share')
  assert (vote.split, vote.seeds) == ('b', 2)


def test_a_target_that_may_guess_has_no_part_in_the_votes_and_is_named():
  lost = make_rows(ERRORS, seed=1, accuracy=0.1)
  theory = [*make_theory(SHARE), *make_theory([0.99, 0.2, 0.19, 0.19], seed=1)]
  (found,) = zone.vote([*make_rows(ERRORS), *lost], theory).treatments
  # the attack has no vote where one of the seeds is in doubt
  assert [(vote.voter, vote.split, vote.seeds) for vote in found.votes] == [
    ('radius_share', 'c', 1)
  ]
  assert found.sentence() == (
    'alpha 0: the zone begins at c by the radius share. The target with seed 1 is left'
    ' out: it may be guessing.'
  )
  (found,) = zone.vote(lost, theory[4:]).treatments
  assert (found.votes, found.guessing) == ((), (1,))
  assert found.sentence() == (
    'alpha 0: nothing votes. The target with seed 1 is left out: it may be guessing.'
  )
  both = [*make_rows(ERRORS, accuracy=0.2), *lost]
  assert (
    zone.vote(both, theory)
    .sentence()
    .endswith('The targets with seeds 0 and 1 are left out: they may be guessing.')
  )


def test_votes_that_differ_say_how_far():
  rows = make_rows(ERRORS)
  one = zone.vote(rows, make_theory([0.9, 0.3, 0.29, 0.28])).treatments[0]
  assert (one.apart, one.by('radius_share').split) == (1, 'b')
  assert one.sentence() == (
    'alpha 0: the zone begins at b by the radius share, at c by the attack: 1 split '
    'apart.'
  )
  theory = [
    *make_theory([0.9, 0.3, 0.29, 0.28]),
    *make_entropy([8, 7, 6, -9], [8, 8, 8, 8]),
  ]
  two = zone.vote(rows, theory).treatments[0]
  assert two.apart == 2
  assert two.sentence().endswith('at d by the entropy bound: 2 splits apart.')


def test_a_voter_that_finds_nothing_is_named():
  found = zone.vote(make_rows([0.03] * 4), make_theory(SHARE)).treatments[0]
  assert found.apart is None
  assert found.sentence() == (
    'alpha 0: the zone begins at c by the radius share; the attack finds none.'
  )
  assert math.isnan(found.by('attack').size)
  nowhere = zone.vote(make_rows([0.03] * 4), make_theory([0.1, 0.2])).treatments[0]
  assert nowhere.sentence() == 'alpha 0: no vote finds a zone.'


def test_without_theory_the_attack_votes_alone():
  found = zone.vote(make_rows(ERRORS)).treatments[0]
  assert [(vote.voter, vote.split) for vote in found.votes] == [('attack', 'c')]
  assert found.sentence() == 'alpha 0: the zone begins at c by the attack.'


def test_a_single_split_has_no_votes():
  found = zone.vote(make_rows([0.1]), make_theory([0.5])).treatments[0]
  assert found.votes == ()
  assert found.sentence() == 'alpha 0: fewer than two splits are measured.'
  assert zone.probe(make_theory([0.5])).sentence() == found.sentence()


def test_the_probe_needs_no_attack_and_votes_by_every_quantity():
  theory = [
    *make_theory([9, 3, 2, 1.9], quantity='radius'),
    *make_theory([9, 9, 4, 4], quantity='radius_per_dim'),
    *make_theory(SHARE, quantity='radius_share'),
    *make_theory([9, 3, 2, 1], quantity='radius', alpha=0.3),
  ]
  found = zone.probe(theory)
  assert [of.treatment for of in found.treatments] == [Treatment(0.0), Treatment(0.3)]
  assert [(vote.voter, vote.split) for vote in found.treatments[0].votes] == [
    ('radius', 'b'),
    ('radius_per_dim', 'c'),
    ('radius_share', 'c'),
  ]
  # drops 0.67, 0.33, 0.5: the second largest is d, and c between them is wide
  vote = found.treatments[1].by('radius')
  assert (vote.split, vote.other) == ('b', 'd')
  assert found.treatments[1].by('attack') is None


def test_the_probe_of_an_epoch():
  theory = [*make_theory(SHARE), *make_theory([0.9, 0.1, 0.1, 0.1], epoch=3)]
  assert zone.probe(theory).treatments[0].by('radius_share').split == 'c'
  assert zone.probe(theory, epoch=3).treatments[0].by('radius_share').split == 'b'
  with pytest.raises(InputError, match=r'no theory of epoch 2; known: 0, 3'):
    zone.probe(theory, epoch=2)


def test_scaling_an_activation_moves_no_vote_that_is_compared():
  # layer c is multiplied by 10: R_c^2 by 100, entropies by D ln 10 each
  shift = np.array([0, 0, 8 * math.log(10), 0])
  inside, total = np.array([8, 4, -16, -16]), np.array([8, 8, 8, 4])
  plain = zone.probe(make_entropy(list(inside), list(total)))
  scaled = zone.probe(make_entropy(list(inside + shift), list(total + shift)))
  ours, theirs = (p.treatments[0].by('entropy') for p in (plain, scaled))
  assert (ours.split, ours.size) == (theirs.split, pytest.approx(theirs.size))


def test_other_epochs_subsets_and_the_prediction_do_not_vote():
  noise = [
    *make_theory([0.9, 0.1], epoch=3),
    *make_theory([0.9, 0.1], subset='test'),
    *(r | {'split': 'prediction', 'split_index': 9} for r in make_theory([0.01])),
  ]
  assert zone.vote(make_rows(ERRORS), [*make_theory(SHARE), *noise]) == zone.vote(
    make_rows(ERRORS), make_theory(SHARE)
  )


def test_seeds_are_averaged_and_a_missing_one_is_left_out():
  theory = [
    *make_theory([0.9, 0.8, 0.4, 0.35], seed=0),
    *make_theory([0.9, 0.7, 0.6, math.nan], seed=1),
    *make_theory([math.nan] * 4, seed=2),
  ]
  vote = zone.probe(theory).treatments[0].by('radius_share')
  # means 0.9, 0.75, 0.5, 0.35 drop by 0.17, 0.33, 0.3
  assert (vote.split, vote.seeds) == ('c', 2)
  assert vote.size == pytest.approx(1 / 3)


def test_diverged_lanes_do_not_vote():
  rows = make_rows(ERRORS)
  rows[2] |= {'status': 'diverged', 'test_mse': math.nan, 'test_mse_paper': 9.0}
  assert zone.vote(rows).treatments[0].by('attack').split == 'd'
  for row in rows:
    row['status'] = 'diverged'
  assert zone.vote(rows).treatments[0].votes == ()


def test_shares_of_resampled_seeds():
  # seed 0 drops at b, seed 1 at c and further: both together at c
  theory = [
    *make_theory([1, 0.5, 0.45, 0.44], seed=0),
    *make_theory([1, 0.9, 0.1, 0.09], seed=1),
  ]
  vote = zone.probe(theory, resamples=4000).treatments[0].by('radius_share')
  shares = dict(vote.shares)
  # by hand: one of four draws is seed 0 twice
  assert vote.split == 'c'
  assert vote.share == shares['c'] == pytest.approx(0.75, abs=0.03)
  assert shares['b'] == pytest.approx(0.25, abs=0.03)
  assert vote.shares[0][0] == 'c'


def test_shares_of_resampled_intervals():
  sure = zone.probe(make_theory([1, 0.9, 0.5, 0.48], width=0.02)).treatments[0]
  assert sure.by('radius_share').share == 1.0
  # b and c drop alike (0.5): with the same spread on all, each wins about half
  unsure = zone.probe(make_theory([1, 0.5, 0.25, 0.25], width=0.1)).treatments[0]
  assert 0.2 < unsure.by('radius_share').share < 0.8
  assert set(dict(unsure.by('radius_share').shares)) == {'b', 'c'}


def test_one_seed_without_intervals_has_no_shares():
  vote = zone.vote(make_rows(ERRORS)).treatments[0].by('attack')
  assert vote.shares == ()
  assert math.isnan(vote.share)


def test_resampled_seeds_of_the_attack_may_find_no_zone():
  rows = [*make_rows([0.01, 0.05]), *make_rows([0.03, 0.04], seed=1)]
  vote = zone.vote(rows, resamples=4000).treatments[0].by('attack')
  # means 0.02 and 0.045 jump 2.25x; seed 1 alone does not
  assert vote.split == 'b'
  assert dict(vote.shares)[None] == pytest.approx(0.25, abs=0.03)


def test_resampling_is_repeatable():
  theory = [*make_theory(SHARE, width=0.5), *make_theory(SHARE[::-1], seed=1)]
  assert zone.probe(theory) == zone.probe(theory)


def test_the_entropy_interval_is_of_the_difference():
  # falls of 1 and 2 nats per dimension; sigma of a difference is sqrt(2) w / 3.92 / 8,
  # of one fall less the other sqrt(6) times that
  for width, low, high in ((4.0, 0.98, 1.0), (40.0, 0.5, 0.8)):
    theory = make_entropy([8, 0, -16], [8, 8, 8], width=width)
    vote = zone.probe(theory).treatments[0].by('entropy')
    assert vote.split == 'c'
    assert low < vote.share <= high


def test_the_attack_is_read_off_the_ladder():
  ladder = {'thumbnail_4': {'mse_paper': 0.03}, 'thumbnail_2': {'mse_paper': 0.06}}
  vote = zone.vote(make_rows(ERRORS), ladder=ladder).treatments[0].by('attack')
  assert vote.note == (
    'no better than the 4x4 thumbnail, and better than the 2x2 thumbnail'
  )


def test_the_table_of_votes():
  rows = [*make_rows(ERRORS), *make_rows([0.03] * 4, alpha=0.3)]
  theory = [
    *make_theory([9, 3, 2, 1], quantity='radius'),
    *make_theory(SHARE, seed=1, quantity='radius'),
  ]
  lines = zone.format_votes(zone.vote(rows, theory)).splitlines()
  assert lines[0].split() == ['vote', 'of', 'alpha', '0', 'alpha', '0.3']
  assert lines[1].split() == ['the', 'attack', 'c', '-']
  assert lines[2].startswith('the radius  b (range with d) ')
  assert lines[2].endswith('%')


def test_bad_rows_are_refused():
  rows, theory = make_rows(ERRORS), make_theory(SHARE)
  with pytest.raises(InputError, match='measure it first'):
    zone.probe([])
  with pytest.raises(InputError, match='run the sweep first'):
    zone.vote([])
  with pytest.raises(InputError, match="metric 'mse' is not a column"):
    zone.vote(rows, metric='mse')
  with pytest.raises(InputError, match='resamples=0 is not allowed'):
    zone.vote(rows, theory, resamples=0)
  with pytest.raises(InputError, match=r'several values of model \(x, y\)'):
    zone.vote(rows, [row | {'model': 'y'} for row in theory])
  with pytest.raises(InputError, match="split 'a' is number 0 in some rows and 5"):
    zone.vote(rows, [row | {'split_index': 5} for row in theory])
