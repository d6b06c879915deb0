"""Questions that any order answers: what a worker serves, what a batch holds, where a sample comes, what a node needs."""
