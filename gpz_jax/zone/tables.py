"""Cuts and votes as lines of plain text."""

import math
from collections.abc import Sequence

from gpz_jax import results
from gpz_jax.zone.candidates import Candidate
from gpz_jax.zone.recommendation import Recommendation
from gpz_jax.zone.votes import Vote, Votes


def format_candidates(found: Recommendation) -> str:
  """The alternatives of a recommendation, one a line, a star at the one to take."""
  header = ['', 'split', 'alpha', 'MSE', 'PSNR', 'edge params', 'share']
  header += ['edge FLOPs', 'share', 'payload', 'accuracy']
  choice = (found.split, found.alpha)
  table = [
    ['*' if (cut.split, cut.alpha) == choice else '', *_format_candidate(cut)]
    for cut in found.alternatives
  ]
  return '\n'.join(results.align([header, *table]))


def format_votes(votes: Votes) -> str:
  """Voters down, alphas across: the split, its range, and the share of resamples.

  A dash stands for a voter that finds no zone, nothing for one that was not measured.
  """
  voters = list(dict.fromkeys(v.voter for of in votes.alphas for v in of.votes))
  table = [['vote of', *(f'alpha {of.alpha:g}' for of in votes.alphas)]]
  table += [
    [voter, *(_format_vote(of.by(voter)) for of in votes.alphas)] for voter in voters
  ]
  return '\n'.join(results.align(table))


def _format_candidate(cut: Candidate) -> Sequence[str]:
  return (
    cut.split,
    f'{cut.alpha:g}',
    f'{cut.test_mse:.5f}',
    f'{cut.test_psnr:.2f}',
    f'{cut.edge_params:,}',
    f'{cut.edge_params_share:.1%}',
    f'{cut.edge_flops:,}',
    f'{cut.edge_flops_share:.1%}',
    results.format_bytes(cut.payload_bytes),
    '-' if math.isnan(cut.target_accuracy) else f'{cut.target_accuracy:.1%}',
  )


def _format_vote(vote: Vote | None) -> str:
  if vote is None:
    return ''
  text = vote.split or '-'
  if vote.other:
    text += f' (range with {vote.other})'
  return text if math.isnan(vote.share) else f'{text} {vote.share:.0%}'
