"""The explorer: a web page that shows the store, with its index, pictures, packed form and server."""
