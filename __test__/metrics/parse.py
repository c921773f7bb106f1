"""Reads an exposition with Prometheus' own library for Python and gives its samples as JSON."""
import json
import sys

from prometheus_client.parser import text_string_to_metric_families

text = sys.stdin.buffer.read().decode("utf-8")
families = []
for family in text_string_to_metric_families(text):
    samples = [[sample.name, sample.labels, "+Inf" if sample.value == float("inf") else sample.value] for sample in family.samples]
    families.append({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})
json.dump(families, sys.stdout)
