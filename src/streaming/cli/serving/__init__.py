"""``streaming serve``: pages that show datasets, their samples and their order in a browser.

``guard`` decides whom an answer is given to, ``catalog`` finds and opens datasets, ``show`` makes of a value what a template
can lay out, ``media`` what a browser may be given of its bytes, ``plots`` draws, ``pages`` are the pages, ``application``
puts them together. What samples hold is never trusted: it is text in a template, or pixels that were made here.
"""
