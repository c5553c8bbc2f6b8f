"""The attacks, one package for each of the questions that the project asks."""
