"""What happens by itself: sealing, the corpus' conditions, snapshots, proposals, rounds, retries, reaping."""
