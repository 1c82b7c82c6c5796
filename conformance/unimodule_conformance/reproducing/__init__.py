"""What scripts that reproduce a failure are made of: ``scripts`` copies from here what one of them needs.

Nothing here knows of specs or of the suite, only of nets, inputs and a backend; each function shows one check in as few
lines as will do, and returns what is wrong.
"""
