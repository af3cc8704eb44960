"""The Grafana dashboard, made from a short description of its panels.

The file is some thousand lines of JSON of which a few hundred are decisions. Those stand in ``rows/``; what all panels
share (positions, legends, the data source) is said once, in ``panels.py``.
"""
