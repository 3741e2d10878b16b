"""The pivot: the user's Python in which framework calls are neutral op nodes."""
