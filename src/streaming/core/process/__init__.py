"""What a process has to take care of: locks, its parent, Ctrl-C, the garbage collector, and a disk that is full."""
