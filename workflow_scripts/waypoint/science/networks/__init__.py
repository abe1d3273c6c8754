"""The kinds of networks and how they are called."""
