"""The PrometheusRule of deploy/kubernetes: the alert rules of deploy/prometheus as the operator takes them."""

from pathlib import Path

import yaml

_RULES = Path(__file__).parents[1] / "deploy" / "prometheus" / "mcwatch.rules.yaml"
_HEAD = """\
# Written by `make docs` from deploy/prometheus/mcwatch.rules.yaml; change that file.
# yamllint disable rule:line-length
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mcwatch
  labels: {app.kubernetes.io/name: mcwatch}
spec:
"""


def render() -> str:
    """Return the manifest: the text of the rules below ``spec``, with its comments."""
    lines = _RULES.read_text("utf-8").splitlines()
    indented = "\n".join(f"  {line}".rstrip() for line in lines)
    if yaml.safe_load(indented).keys() != {"groups"}:
        raise ValueError(f"{_RULES}: a PrometheusRule has groups and nothing else")
    return f"{_HEAD}{indented}\n"
