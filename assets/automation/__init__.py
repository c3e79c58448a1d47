"""What happens by itself: sealing of arrivals, the corpus' conditions, snapshots, proposals, rounds, retries, reaping."""
