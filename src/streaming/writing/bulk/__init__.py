"""``streaming.write``: many processes, one after the other in the journal, the same bytes whatever their number."""
