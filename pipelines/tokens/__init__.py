"""Documents to tokens: tokenizers, token arrays, and the mixture order that training reads. Imports no torch."""
