-- A gateway begins a session: after its start, after a lost connection, after it met another generation.
--
-- A server that was restarted or emptied has lost admissions, so its counters begin a new generation, which opens for
-- decisions when every gateway has told what it admitted, or else when all that was lost has left the window.
-- The names of a new generation's keys cannot be declared before it has a name; they are made here (one server, no cluster).
--
-- KEYS: state
-- ARGV: member, gateways, the sender's idea of now, ms for which it is trusted, the generation it was in ('' if none),
--       whether it remembers all of its last window (1 or 0), a name for a new generation, ms until lost requests must
--       have ended, lease ms, prefix of keys; number of buckets, then for each bucket subject, tick, requests, tokens,
--       and how many of both this generation has not heard of; number of leases, then for each lease subject, lease
-- Returns {1, now, generation, founder}; {-3, now} when it was so long on its way that it means nothing
local member, gateways, sent, trust = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local had, whole, proposed = ARGV[5], ARGV[6] == '1', ARGV[7]
local longest, lease_ms, prefix = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
if now - sent >= trust then return {-3, now} end

local state = KEYS[1]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local seen = redis.call('HMGET', state, 'generation', 'run')
local generation = seen[1]

local function all_left(members)
  redis.call('ZREMRANGEBYSCORE', members, '-inf', now - WINDOW_MS)
  for _, name in ipairs(redis.call('ZRANGE', members, 0, -1)) do
    if string.sub(name, 1, 5) ~= 'left:' then return false end
  end
  return true
end

local function begin(origin)
  generation = proposed
  redis.call('DEL', state)
  redis.call('HSET', state, 'generation', generation, 'run', run, 'origin', origin,
    'open', now + WINDOW_MS + trust, 'slots', now + longest)
end

if not generation then
  begin('empty')
elseif seen[2] ~= run then
  -- Whoever stood in the old data saw the last of it only if all had left in order before it was written.
  if had == '' and all_left(prefix .. generation .. ':members') then
    redis.call('HSET', state, 'run', run)
  else
    begin('restart')
  end
end
local members, reports = prefix .. generation .. ':members', prefix .. generation .. ':reports'

-- What this gateway admitted goes into the windows. Told twice it counts twice, which errs on the safe side.
local function tell(subject, at, requests, tokens)
  at = math.min(at, tick)
  if tick - at >= RING or requests + tokens == 0 then return end
  local key = prefix .. generation .. ':w:' .. subject
  local sums = roll(key)
  redis.call('HSET', key, 'head', tick, 'requests', sums[1] + requests, 'tokens', sums[2] + tokens)
  redis.call('HINCRBY', key, 'r' .. at % RING, requests)
  redis.call('HINCRBY', key, 't' .. at % RING, tokens)
  redis.call('PEXPIRE', key, WINDOW_MS + BUCKET_MS)
end

local told = had == generation and 2 or 0
local argument = 12
for _ = 1, tonumber(ARGV[11]) do
  tell(ARGV[argument], tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2 + told]), tonumber(ARGV[argument + 3 + told]))
  argument = argument + 6
end
for i = argument + 1, argument + 2 * tonumber(ARGV[argument]), 2 do
  local key = prefix .. generation .. ':s:' .. ARGV[i]
  redis.call('ZADD', key, now + lease_ms, ARGV[i + 1])
  redis.call('PEXPIRE', key, lease_ms + BUCKET_MS)
end

local left = redis.call('ZRANGEBYSCORE', members, '(' .. now, '+inf')
for _, name in ipairs(left) do -- a new gateway takes the place of one that left
  if string.sub(name, 1, 5) == 'left:' and not redis.call('ZSCORE', members, member) then
    redis.call('ZREM', members, name)
    break
  end
end
redis.call('ZADD', members, math.min(now, sent) + trust, member)

-- Open early when nothing is unknown: all remember their last window, or there never was anything before these gateways.
local facts = redis.call('HMGET', state, 'open', 'slots', 'origin')
local kind = 'young'
if had == '' then kind = 'fresh' elseif whole then kind = 'witness' end
local founder = 0
if now < tonumber(facts[1]) or now < tonumber(facts[2]) then
  if had ~= generation then redis.call('HSET', reports, 'kind:' .. member, kind) end
  local present = {fresh = 0, witness = 0, young = 0}
  local count = 0
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', members, '(' .. now, '+inf')) do
    local told = redis.call('HGET', reports, 'kind:' .. name)
    if told then
      present[told] = present[told] + 1
      count = count + 1
    end
  end
  if facts[3] == 'empty' and had == '' then founder = 1 end
  if present.witness >= gateways or (facts[3] == 'empty' and present.fresh >= gateways) then
    redis.call('HSET', state, 'open', 0)
  end
  if count >= gateways then redis.call('HSET', state, 'slots', 0) end
end
redis.call('PEXPIRE', reports, KEPT_MS)
redis.call('PEXPIRE', members, KEPT_MS)
return {1, now, generation, founder}
