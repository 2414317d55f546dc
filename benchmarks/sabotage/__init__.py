"""The sabotage corpus: cohorts that are each spoiled in one way, and clean ones, against the audits that must tell.

Nothing here looks into an audit: cohorts are written to disk as a user would have them, the commands of the program
read them, and what is judged is the JSON that these write. The corpus has two halves of other images and other seeds.
Limits of audits may be set on the half ``set``; what is published is the half ``publish``.
"""
