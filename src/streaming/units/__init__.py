"""What counts as a sample: units of each shard, in numbers, and where in the shard each unit is. No files, no torch.

The order runs over units and knows only how many each shard has. ``units`` is the contract; ``selection`` the units of a
view, some of the rows as they are; ``parts`` those that are made of rows. ``translation`` turns what the order deals into
rows. ``view_file`` is how a view is kept, ``splits`` says which part of a split a sample is in.
"""
