"""The management API, ``/api/v1``. Reads are QuerySets; every change is an action. A file a noun, and what they share:

authentication, permissions   who asks, and may they ask at all
parsers, fields               what a body may hold: strict types, no unknown fields, no control characters
filters, pagination           what a list may be asked
preconditions                 ETag, If-Match and the reason of a change
idempotency, rehearsal        a change that is sent twice, and one that is only asked about
throttling                    how often one may ask
problems                      every error as RFC 9457 problem+json: the one place that maps exceptions to HTTP
schema                        what drf-spectacular cannot see by itself
"""
