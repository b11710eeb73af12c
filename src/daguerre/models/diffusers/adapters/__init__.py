"""LoRAs and textual inversions, which change a checkpoint when it is loaded."""
