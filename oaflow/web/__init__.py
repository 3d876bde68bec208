"""
`oaflow web`: what the commands show and do, as pages.

A page calls `operations`, as a command does, and decides nothing about runs. Only the command `web` imports this room.
"""
