"""Tables of Lance, through its own library, which runs in a process beside this one: its threads do not survive a fork."""
