"""``streaming view``: ``show`` says what a file of a view holds, or lists such files; ``make`` writes one."""
