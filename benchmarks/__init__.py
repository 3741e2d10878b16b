"""Measurements of netferry: the scoreboard over published networks, its own time, its memory."""
