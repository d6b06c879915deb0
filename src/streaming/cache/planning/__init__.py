"""What is fetched ahead and what goes first, by when it is needed next."""
