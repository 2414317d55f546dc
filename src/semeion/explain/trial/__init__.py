"""Trials that an explanation must stand before it is shown: functions of arrays, each with its source."""
