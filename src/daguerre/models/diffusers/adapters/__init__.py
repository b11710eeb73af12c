"""LoRAs, which change a checkpoint when it is loaded."""
