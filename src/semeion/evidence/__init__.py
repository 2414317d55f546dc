"""Predictions become figures: how good a model is, each figure with its interval.

Takes data frames and arrays; knows neither images nor networks. Start at :func:`semeion.evidence.weigh.weigh`.
"""
