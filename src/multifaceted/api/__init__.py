"""The front door: one function for each command, which the command line calls and Python users import.

    import multifaceted as mf       # gives these names, each imported when it is first used

Functions take paths, say what they return, and raise a `MultifacetedError` with a hint what to do next.
"""
