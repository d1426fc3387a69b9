"""What the scripts of this extension share."""
