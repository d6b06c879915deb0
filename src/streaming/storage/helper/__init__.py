"""Where network operations run: in this process, or in one beside it, because the network client does not survive a fork.

``runtime`` decides. ``spec`` is what it takes to make the client, ``operations`` what is done with it, ``failures`` what
becomes of its exceptions, and ``gate`` bounds the requests under way. ``direct`` runs them here; ``client`` starts ``main``
in a process of its own and talks to it by ``wire``.
"""
