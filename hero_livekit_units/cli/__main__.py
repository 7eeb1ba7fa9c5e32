"""`python -m hero_livekit_units.cli`: `hlu`, where its script is not on the PATH."""

from hero_livekit_units.cli.main import run

if __name__ == "__main__":
    run()
