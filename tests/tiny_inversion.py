"""The fields of a study of model inversion that takes seconds."""

TINY = {
  'dataset': 'portraits/private32_4x8',
  'public_dataset': 'portraits/public32_6x6',
  'image_size': 16,
  'model': 'cnn',
  'model_options': ('width=0.0625',),
  'alphas': (0.0, 0.3),
  'target_epochs': 1,
  'target_batch_size': 8,
  'evaluator': 'cnn',
  'evaluator_options': ('width=0.125',),
  'evaluator_epochs': 1,
  'evaluator_batch_size': 8,
  'evaluator_size': 24,
  'prior_steps': 3,
  'prior_width': 2,
  'classes': 3,
  'face_embedding': 'toy',
  'attack': (
    'ppa:preset=small:steps=2:candidates=3:final=2:latents=8:draws=2',
    'gmi:preset=small:steps=2',
  ),
}
