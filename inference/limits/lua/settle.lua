-- The end of a request: its slots are free, and its reservation becomes what was truly used. Once: a repetition is void.
--
-- KEYS: state, settled, then the keys that the request took from
-- ARGV: generation, lease, tick of the reservation, tokens used minus tokens reserved, then for each key w or s
-- Returns 1 when done, 0 when it had been done, -1 for another generation (whose counters are gone)
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return -1 end
local reserved_at, change = tonumber(ARGV[3]), tonumber(ARGV[4])
if change ~= 0 and not redis.call('SET', KEYS[2], 1, 'NX', 'PX', 2 * WINDOW_MS) then return 0 end

-- A refund goes back to the bucket it came from, if that still counts; never more than is in it.
local function refund(key, tokens)
  local at = 't' .. reserved_at % RING
  local seen = redis.call('HMGET', key, 'head', 'tokens', at)
  local head = tonumber(seen[1])
  if not head or head - reserved_at >= RING then return end
  tokens = math.min(tokens, tonumber(seen[3] or 0))
  redis.call('HSET', key, 'tokens', tonumber(seen[2]) - tokens, at, tonumber(seen[3] or 0) - tokens)
end

for i = 3, #KEYS do
  local kind = ARGV[i + 2]
  if kind == 's' then
    redis.call('ZREM', KEYS[i], ARGV[2])
  elseif change < 0 then
    refund(KEYS[i], -change)
  elseif change > 0 then -- nobody could know before, so it counts from now
    add(KEYS[i], roll(KEYS[i]), 0, change)
  end
end
return 1
