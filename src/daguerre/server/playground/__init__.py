"""The playground: one page for people, its files, and the link that opens it signed in."""
