"""Questions that any order answers: what a worker serves, what is in a batch, where a sample comes, what a node needs when."""
