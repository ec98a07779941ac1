"""`minikubelet bench`: what supervision costs here, beside the least that it could cost and beside others.

Responsible for measuring whole programs from outside, each by what its children see and by what /proc says
of it. Subjects (`subjects`, `peers`) are configured in a few lines each; scenarios (`scenarios`, `pure`)
know how to take figures of any of them; a campaign interleaves them; reports tell people and machines.
"""
