"""Where cancels, starts, steers and changes are judged, and verdicts carried out. It fails open (P8)."""
