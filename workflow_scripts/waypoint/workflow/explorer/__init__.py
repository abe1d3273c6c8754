"""The explorer: a web page that shows the store, its index and pictures, its packed form, and its server."""
