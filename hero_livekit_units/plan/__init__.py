"""From what is to what should be: `planner.plan` is a pure function of what was observed and what is wanted."""
