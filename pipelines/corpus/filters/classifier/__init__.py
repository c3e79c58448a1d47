"""Text classifiers: fastText models trained in the graph, their scores on documents, and ensembles of them."""
