"""Text to values: definition files and the user's `media.toml`, read strictly, with every fault located.

    files ──▶ text ──▶ structure ──▶ rules ──▶ catalog ──▶ resolve
    reads     TOML →   tables →      values    which       definition + parameters
              tables   values        that fit  releases    → LaunchSpec, digest

All but `files` is pure.
"""
