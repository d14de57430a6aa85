"""Blocks of configuration for the engines of bad_engines.py."""

import json
from pathlib import Path

BAD_ENGINES = Path(__file__).with_name("bad_engines.py")


def bad_engine(name: str, flags: Path) -> str:
    """The engine, and a rule that runs it on what is sent under its name in capitals."""
    return f"""
[[engine]]
name = "{name}"
module = {json.dumps(str(BAD_ENGINES))}
options = {{ flags = {json.dumps(str(flags))} }}

[[rule]]
engine = "{name}"
when = {{ calling_ae_title = "{name.upper()}" }}
"""
