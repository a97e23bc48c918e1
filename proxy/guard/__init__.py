"""The enforcement points: where a cancel, a start or a relay is judged, and the verdict carried out."""
