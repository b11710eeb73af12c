"""An engine whose jobs run in the replicas of a Ray Serve application."""
