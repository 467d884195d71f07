"""Every Prometheus metric of the project, declared once; no I/O and no ids in labels.

A module a subject: whoever counts imports the object from there. Where an alert looks
at a series, its module makes it at import, because a series that does not exist yet
is silent. Figures that are read at scrape time (journal lag, queue lengths, outbox
states) are made by `web/ops_metrics.py`.
"""

from config.metrics.files import name_files_by_host

# Python loads a package before its modules, so this precedes every metric.
name_files_by_host()
