"""How each kind of network is called."""
