"""``tlm schema``: the JSON Schema of scenario files."""

import argparse
import json

from tlm.scenario.json_schema import scenario_schema


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(json.dumps(scenario_schema(), indent=2))
    return 0
