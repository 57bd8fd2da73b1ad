"""The limiter: every limit of a request in one atomic step, exact in every sliding window, with Redis or without.

**Windows.** A subject (key, project, route, key × route, project × route) has a ring of one-second buckets. A decision
counts 61 of them: the sixty seconds of the window, and the partly expired one whole (see `arithmetic`). A refused
request changes nothing anywhere. A token reservation sits in the bucket of its admission and shrinks there to the true
usage when the request is settled, so that at any moment the buckets hold at least what was truly used. Usage beyond the
reservation could not be known before and counts from its settlement. Slots are leases in a sorted set: a gateway renews
them while the request runs, and nobody renews them for a dead one.

**The clock** is Redis's, read inside the script. A gateway's own idea of it is used only when Redis is gone.

**Losing Redis.** A gateway that cannot ask Redis may give out limit/N of N gateways alone. To keep the sum within the
limit in every sliding window, over every transition, these hold:

- *alive → dead.* The dead Redis may have admitted a whole limit a moment ago, through any gateway. So the share begins
  only when that has left the window: 61 s after the last time at which Redis can have counted this gateway as present.
  Until then the answer is 503 with ``retry-after: 1``. A single gateway (N = 1) remembers all admissions itself, so
  it goes on without a gap. Slots wait longer (`longest_request`), because a stream begun before may still run.
- *one gateway cut off, the others not.* A gateway shows itself every half second and is trusted for 2 s. For each
  gateway of N that is not present, the script holds its share back from every limit; the absent one waits those 2 s
  and the 61 s before it uses that share. So N must not be set much too high: absent gateways keep their shares.
- *dead → alive, or emptied while alive.* All counters live under a generation, whose name the script compares before
  anything else. A server without one (emptied) or with another run id (restarted, perhaps with an old AOF) gets a new
  one from the first gateway that joins. It is closed at first. Each joining gateway tells what it admitted in the last
  window, alone or by Redis, and its running slots; when all N have told, the counters are whole and it opens, usually
  within a second or two. If one cannot tell, because it died too, it opens 63 s later, when nothing lost can matter.
- *the same generation again* (only the connection was lost): Redis is told what was admitted without it, nothing else.
- *all stopped in order, started again:* every gateway said that it left, so the saved counters are whole and go on.
- *a first start:* N new gateways before an empty Redis open at once. An empty Redis **and** all gateways new within the
  same minute cannot be told from that; it is the one case in which nobody is left who could know.

While Redis is alive a decision takes its round trip; when it is dead none is asked: a closed connection is noticed by
itself, a hanging one after a quarter of a second, and from then on decisions are memory only.

**Requests that Redis may or may not have counted** (the connection broke before its answer) are decided again alone;
what Redis counted for them is given back to nobody: it leaves the window by itself, and the slot lapses.

**Budgets** (so much a day or a month) live in PostgreSQL's ledger (`inference.contract.budgets`). It grants *slices*.
A slice lies in Redis, for all gateways together, and is one more counter that `admit.lua` looks at and takes from in
the same step: what a request can cost at most is reserved there, and settled to what it did cost. So a request meets
Redis only; `Budgets` leases more before a slice is empty. Only a request that finds too little waits for the ledger,
a quarter of a second at most, together with all others; when the ledger says that nothing is left, that is believed
for a second, and a refusal costs no question. A request belongs to the period in which it was admitted.

Everything is said in totals that only grow, so nothing is counted twice or lost by being said again: the ledger says
what it granted to a holder in all, each process says what it spent in all (`slices.Party`). That settles the rest:

- *a gateway dies:* its reservations stand under its name in each slice. Once it has not shown itself to Redis or to
  the ledger for the lease (30 s), any other gives them back and tells the ledger what it had spent. What it died with
  before it could tell either, a moment's worth, and the requests that died with it, are charged to nobody.
- *a connection breaks:* whether Redis heard the last words is unknown, so the totals of those slices are said again.
- *Redis is lost:* a gateway leases for itself, exactly what its requests need, and decides in memory.
- *its counters are gone:* what the lost generation was granted counts as spent until each of its gateways has said
  its last word, which needs its last request to end; then the rest is free again. Should one of them have died
  before, only it could have told, so the rest of those slices stays spent until the period ends: slices are small.
- *PostgreSQL is away:* the slices that there are are used up, then the answer is 503. So it is for a gateway that has
  never reached it. Never unlimited.
- *a gateway sleeps for longer than the lease* and goes on: what is running is reserved anew, if need be
  beyond the grant.

An engine may count more tokens for a prompt than were estimated: that is charged, and is the other way, beside that
sleep, in which a budget can be passed.
"""

from .answers import BudgetExhausted, Lease, LimitError, LimitExceeded, LimitsUnavailable
from .book import LimitBook
from .limiter import Limiter
from .plan import Dimension, Plan, Spend

__all__ = [
    "BudgetExhausted",
    "Dimension",
    "Lease",
    "LimitBook",
    "LimitError",
    "LimitExceeded",
    "Limiter",
    "LimitsUnavailable",
    "Plan",
    "Spend",
]
