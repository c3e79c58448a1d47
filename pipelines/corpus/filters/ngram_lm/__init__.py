"""N-gram language models: modified Kneser-Ney, ARPA files, and the perplexity of documents."""
