"""Lesson 08: what changes with real photos, the plan before a run, and what published numbers measured."""
