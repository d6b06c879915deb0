"""What user code written for the original reads of a dataset or a stream beyond samples, worked out when asked for."""
