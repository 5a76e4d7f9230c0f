"""Stand-in for LMCache, as far as a trial touches it; signatures are those of LMCache 0.5.6.

The program that uses it was also run against the real one, with its S3 adapter.
"""
