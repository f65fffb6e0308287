"""Scenario files: YAML with marks, validated, expanded into variants and cases.

Nothing is imported here: the parts that need pydantic or PyYAML are loaded by those who use them.
"""
