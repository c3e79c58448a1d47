"""Plans: the immutable specification of one training run, and the proposal that decides whether to make one."""
