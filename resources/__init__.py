"""Where and on what: the artifact store, locks, worker processes, the trainer's supervisor and the crawler's sites."""
