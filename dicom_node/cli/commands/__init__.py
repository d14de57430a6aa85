"""The commands, by what they are for; importing a module adds its commands."""
