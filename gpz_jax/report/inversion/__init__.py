"""The page of a study of model inversion."""
