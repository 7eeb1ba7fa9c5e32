"""What the supervisor at hand does, proved with units that harm nobody, before media are trusted to it."""
