"""Text to values: definition files and the user's `media.toml`, read strictly, with every fault located.

    files ──▶ extends ──▶ structure ──▶ rules ──▶ catalog ──▶ resolve ──▶ render
    reads     text →      tables →      values    which       definition  values →
              tables      values        that fit  releases,   → LaunchSpec, text
              of all                              lineage     digest

And one way back: `edit` changes one key of `media.toml` in its text, and `layout` tells it where the key stands.

All but `files` is pure.
"""
