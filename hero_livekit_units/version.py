"""The version of the package, in its only place."""

VERSION = "0.1.0"
