"""The wire contract of Hermes WebUI, in one place: nothing outside spells its paths, fields or event names."""
