"""The explorer: a page in the browser that reads the store, its index and pictures, and its packed form."""
