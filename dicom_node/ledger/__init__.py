"""The durable record of what was received, decided, done and delivered."""
