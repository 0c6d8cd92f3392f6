"""What `push` and `pull` do: a built folder goes to the Hub in one commit, and comes back checked."""
