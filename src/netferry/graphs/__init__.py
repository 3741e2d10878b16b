"""Networks of which only the graph is known: grouped into functions and loops, and written as source code."""
