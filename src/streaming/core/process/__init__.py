"""What a process has to take care of: its parent, Ctrl-C, the garbage collector, and a disk that is full."""
