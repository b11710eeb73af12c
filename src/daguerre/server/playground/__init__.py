"""The playground: a web page for people, and the one-time link that opens it signed in."""
