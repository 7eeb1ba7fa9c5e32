"""A page that says all is well: a program for hero_proc to look after, and the plugin that tells it how."""
