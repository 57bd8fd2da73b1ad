"""Observation: scrape → exposition (pure) → samples → evaluate (pure) → alert and outbox → deliver.

scrape       asks engines, gateways and GPU exporters, many at once
exposition   Prometheus's text, parsed as what a stranger wrote
vocabulary   which of their names become which of our series; old and new ones of vLLM
samples      series and their samples in PostgreSQL, by COPY; counters without their resets
figures      percentiles, shares and rates from two samples of a counter
gather       from series to one value for each subject of a metric
standings    the same for what the control plane's tables tell: replicas, keys, budgets
evaluate     the state machine of an alert
telling      who is told of what, and when
rounds       one tick: gather, evaluate, and write alerts with their outbox in one transaction
outbox       claims a message of a channel, within what its robot takes
messages     what people read
charts       a deployment's last hour as SVG
transports   how a message reaches DingTalk, WeCom or a webhook
"""
